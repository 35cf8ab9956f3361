"""`graftwork cache`: the feature store, looked at and emptied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from graftwork.cli import output
from graftwork.cli.output import Json

if TYPE_CHECKING:
    from graftwork.features.store import Store

app = typer.Typer(no_args_is_help=True, help="The feature store: what frozen stages made of examples, kept on disk.")


@app.command("list")
def list_(json: Json = False) -> None:
    """What it holds: for each encoder and way of computing the examples, their bytes and the last use."""
    with _store() as store:
        output.cached(store.list(), json)


@app.command("size")
def size(json: Json = False) -> None:
    """Where it is, and how much it holds and may hold."""
    with _store() as store:
        output.cache_size(store.size(), json)


@app.command("verify")
def verify(json: Json = False) -> None:
    """Read all of it, and forget what is damaged, so that it is computed again."""
    with _store() as store:
        output.cache_verified(store.verify(), json)


@app.command("clear")
def clear(json: Json = False) -> None:
    """Forget everything."""
    with _store() as store:
        output.cache_cleared(store.clear(), json)


def _store() -> Store:
    from graftwork.features.store import Store

    return Store()
