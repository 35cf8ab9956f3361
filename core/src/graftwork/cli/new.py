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
def new_plugin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the package: small letters, digits and hyphens.")],
    modality: Annotated[
        str | None, typer.Option(help="image, text, audio, or a new one that the plugin brings.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A folder of graftwork pretrain that the plugin brings.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where its folder is written.")] = Path(),
    json: Json = False,
) -> None:
    """Write a plugin with an encoder that installs and passes the conformance kit as written."""
    from graftwork import scaffold

    if (modality is None) == (weights is None):
        raise UsageError(
            "A plugin is begun with --modality, or with the --weights of a folder of graftwork pretrain.",
            "Write: graftwork new plugin my-encoder --modality image",
        )
    made = scaffold.publish(name, weights, out) if weights else scaffold.new_plugin(name, modality or "", out)
    answer({"plugin": str(made)}, render, json)


def render(made: dict[str, str]) -> None:
    """Where the plugin was written, and how to install it."""
    place = made["plugin"]
    tell(f"Written: {place}")
    tell(f"Next: pip install -e '{place}[test]' && pytest {place}")
