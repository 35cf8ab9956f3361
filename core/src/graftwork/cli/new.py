"""`graftwork new`: begin something that others can install."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graftwork.cli.options import Json
from graftwork.cli.terminal import answer, tell
from graftwork.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Begin something that others can install.")


@app.command("plugin")
def plugin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the package: small letters, digits and hyphens.")],
    modality: Annotated[
        str | None, typer.Option(help="image, text, audio, or a new one that the plugin brings.")
    ] = None,
    brings: Annotated[
        str | None, typer.Option(metavar="KIND", help="In place of an encoder: task, source (of data) or policy.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A folder of graftwork pretrain that the plugin brings.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where its folder is written.")] = Path(),
    json: Json = False,
) -> None:
    """Write a plugin that installs and passes the conformance kit as written."""
    from graftwork.scaffold.plugin import new_part, new_plugin, publish

    if sum(given is not None for given in (modality, brings, weights)) != 1:
        raise UsageError(
            "A plugin is begun with one of --modality, --brings and the --weights of a folder of graftwork pretrain.",
            "Write: graftwork new plugin my-encoder --modality image",
        )
    if weights is not None:
        made = publish(name, weights, out)
    else:
        made = new_part(name, brings, out) if brings is not None else new_plugin(name, modality or "", out)
    answer({"plugin": str(made)}, render, json)


def render(made: dict[str, str]) -> None:
    """Where the plugin was written, and how to install it."""
    place = made["plugin"]
    tell(f"Written: {place}")
    tell(f"Next: pip install -e '{place}[test]' && pytest {place}")
