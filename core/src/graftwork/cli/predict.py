"""`graftwork predict`: what a saved run answers for new inputs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graftwork.cli.options import Device, Input, Json, Offline, go_offline
from graftwork.cli.terminal import answer, say, steady, table
from graftwork.errors import DataError, UsageError

if TYPE_CHECKING:
    from graftwork.tasks.task import Task


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Files, folders of files, tables, or texts; - reads one a line from standard input.",
        ),
    ],
    input: Input = None,
    text: Annotated[
        bool, typer.Option("--text", help="Every INPUT is a text, also one that looks like a file.")
    ] = False,
    device: Device = "cpu",
    offline: Offline = False,
    json: Json = False,
) -> None:
    """What a saved run answers for new inputs: labels with probabilities, values."""
    go_offline(offline)
    from graftwork.data.inputs import named_inputs
    from graftwork.plugins import registry
    from graftwork.runs import run as runs

    given = [line for item in inputs for line in (_lines() if item == "-" else [item])]
    if not given:
        raise UsageError("Standard input is empty; one input a line is accepted.", "See: graftwork predict --help")
    with steady():
        loaded = runs.load(run)
        modality = registry.modality(loaded.record["modality"])
        answers = loaded.predict(named_inputs(given, modality, column=input, texts=text), device=device)
    if all("error" in one for one in answers):
        raise DataError(answers[0]["error"], "Give a file or text that can be read.")
    answer(answers, lambda found: render(found, loaded.task), json)


def _lines() -> list[str]:
    # Bytes that are not UTF-8 stay in the text as they do in arguments (PEP 383), for the text plugin to put right.
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()]


def render(answers: list[dict[str, Any]], task: Task) -> None:
    """The answers as a table; those that cannot be read, on stderr."""
    rows = []
    for one in answers:
        if "error" in one:
            say(one["error"])
        else:
            rows.append([one["input"], *task.cells(one)])
            for note in one.get("notes", ()):
                say(f"Note on {one['input']}: {note}.")
    table(["input", *task.columns()], rows, ("probability", "value"))
    say("Next: graftwork evaluate RUN DATA")
