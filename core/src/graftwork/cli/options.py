"""Options that several commands take, and what they do."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graftwork.specs import settings

if TYPE_CHECKING:
    from graftwork.data.options import SourceOptions
    from graftwork.data.reading import Data
    from graftwork.data.streaming import Stream

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]
Offline = Annotated[bool, typer.Option("--offline", help="Never use the network; say which file is missing.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
EngineName = Annotated[
    str,
    typer.Option(help="What runs frozen stages: auto (measured once on this machine) or one of {engines}."),
]
OnBad = Annotated[str, typer.Option(help="Unreadable examples: skip (up to 5 % of the data) or error.")]
Input = Annotated[str | None, typer.Option(help="The table's column of texts or file paths.")]
Label = Annotated[
    list[str] | None,
    typer.Option(help="The table's column of labels; more than once for several columns of one example."),
]
LabelMap = Annotated[
    Path | None, typer.Option("--label-map", metavar="FILE", help="A table old,new of labels that get new names.")
]
DropLabel = Annotated[
    list[str] | None, typer.Option("--drop-label", metavar="LABEL", help="Leave out the examples with this label.")
]
Layout = Annotated[
    str,
    typer.Option(
        help="A folder's layout, where two fit: class-folders, split-folders, metadata, tables or text-files; "
        "or the format of label files: {annotations}."
    ),
]
TaskName = Annotated[str, typer.Option(help="What the labels are: {tasks}.")]

ModalityName = Annotated[
    str,
    typer.Option(
        "--modality", metavar="NAME", help="What the inputs are, where two kinds may be read from the same files."
    ),
]

Adapter = Annotated[
    str | None,
    typer.Option(help="Make examples of the encoder's kind out of the data's, by one of {adapters}."),
]
Convert = Annotated[
    list[str] | None,
    typer.Option("--convert", metavar="NAME", help="An optional step on each example (image:denoise); repeatable."),
]
AllowOutside = Annotated[
    bool, typer.Option("--allow-outside", help="Let file paths that stand in a table lead outside of its folder.")
]
Streaming = Annotated[
    bool, typer.Option("--streaming", help="Read the data once, in chunks, for more than memory or the disk holds.")
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Neither use nor fill the feature store.")]


def go_offline(offline: bool) -> None:
    if offline:
        os.environ["GRAFTWORK_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"


def read_data(source: str, options: SourceOptions, streaming: bool) -> Data | Stream:
    from graftwork.data.reading import read
    from graftwork.data.streaming import open_stream

    return open_stream(source, options) if streaming else read(source, options)


def takes_settings(
    *where: str, only: tuple[str, ...] = (), before: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each setting that applies to `where`, in front of its option `before`.

    The command gets their values as `**settings`. only: the names of those that it takes, if not all.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        parameters = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        place = [one.name for one in parameters].index(before)
        parameters[place:place] = [
            _parameter(name, where)
            for name, declared in settings.Settings.declared().items()
            if (name in only if only else set(where) & set(declared.applies))
        ]
        vars(command)["__signature__"] = signature.replace(parameters=parameters)  # typer makes options from it
        return command

    return decorate


def _parameter(name: str, where: tuple[str, ...]) -> inspect.Parameter:
    known = settings.Settings
    declared, kind, default = known.declared()[name], known.types()[name], getattr(known, name)
    help = declared.pretrain_help if where == ("pretrain",) and declared.pretrain_help else declared.help
    if kind is tuple:
        hint = Annotated[list[str], typer.Option(known.option(name), metavar="NAME", help=help)]
        default = list(default)
    else:
        # Named alone, a bool has no --no- option.
        hint = Annotated[kind if default is not None else kind | None, typer.Option(known.option(name), help=help)]
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=hint)
