"""`graftwork cache`: the feature store and the data that were fetched, looked at and emptied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from graftwork.cli.options import Json
from graftwork.cli.terminal import answer, table, tell

if TYPE_CHECKING:
    from graftwork.features.store import Store

app = typer.Typer(
    no_args_is_help=True, help="What is kept on disk: what frozen stages made of examples, and data that were fetched."
)


@app.command("list")
def list_(json: Json = False) -> None:
    """What it holds: for each encoder and way of computing the examples, their bytes and the last use."""
    with _store() as store:
        answer(store.list(), _list, json)


@app.command("size")
def size(json: Json = False) -> None:
    """Where it is, and how much it holds and may hold."""
    from graftwork.data.remote import kept
    from graftwork.runtime import compiled

    with _store() as store:
        answer({**store.size(), "fetched": kept.size(), "compiled": compiled.size()}, _size, json)


@app.command("sources")
def sources(json: Json = False) -> None:
    """The addresses that data were fetched from, and what they hold."""
    from graftwork.data.remote import kept

    found = {"folder": str(kept.sources_folder()), "addresses": kept.addresses(), "bytes": kept.size()}
    answer(found, _sources, json)


@app.command("verify")
def verify(json: Json = False) -> None:
    """Read all of it, and forget what is damaged, so that it is computed again."""
    with _store() as store:
        answer(store.verify(), _verified, json)


@app.command("clear")
def clear(json: Json = False) -> None:
    """Forget everything but what this machine was measured to be fast at."""
    from graftwork.data.remote import kept
    from graftwork.runtime import compiled

    with _store() as store:
        answer({**store.clear(), "fetched": kept.clear(), "compiled": compiled.clear()}, _cleared, json)


def _store() -> Store:
    from graftwork.features.store import Store

    return Store()


def _list(spaces: list[dict[str, Any]]) -> None:
    if not spaces:
        tell("The feature store is empty.")
    else:
        from datetime import datetime

        rows = [
            [
                s["backbone"], s["kind"], s["precision"], s["weights"][:12], f"{s['rows']:,}", _megabytes(s["bytes"]),
                f"{datetime.fromtimestamp(s['used']):%Y-%m-%d %H:%M}",
            ]
            for s in spaces
        ]  # fmt: skip
        table(["backbone", "kind", "precision", "weights", "examples", "size", "last used"], rows, ("examples", "size"))
    tell("Next: graftwork cache size")


def _size(found: dict[str, Any]) -> None:
    tell(
        f"{found['folder']} holds features of {found['rows']:,} examples in {_megabytes(found['bytes'])} of at most "
        f"{_megabytes(found['limit'])}; what was not used for longest goes first. Change it: GRAFTWORK_CACHE_LIMIT=20GB"
    )
    if found["fetched"]:
        tell(
            f"Beside it: {_megabytes(found['fetched'])} of data that were fetched or unpacked: graftwork cache sources"
        )
    if found["compiled"]:
        tell(f"Beside it: {_megabytes(found['compiled'])} of encoders that engines have compiled.")
    tell("Next: graftwork cache list")


def _sources(found: dict[str, Any]) -> None:
    from datetime import datetime

    if found["addresses"]:
        rows = [
            [
                one["address"], f"{one['files']:,}", _megabytes(one["bytes"]),
                f"{datetime.fromtimestamp(one['fetched']):%Y-%m-%d %H:%M}",
            ]
            for one in found["addresses"]
        ]  # fmt: skip
        table(["address", "files", "size", "last fetched"], rows, ("files", "size"))
    tell(f"{found['folder']} holds {_megabytes(found['bytes'])} of data that were fetched or unpacked.")
    tell("Next: graftwork cache clear")


def _verified(found: dict[str, Any]) -> None:
    bad = f"{found['bad']:,} were damaged and will be computed again." if found["bad"] else "All are whole."
    tell(f"Read the features of {found['rows']:,} examples. {bad}")
    tell("Next: graftwork cache size")


def _cleared(found: dict[str, Any]) -> None:
    tell(f"Forgot the features of {found['rows']:,} examples, {_megabytes(found['bytes'])}.")
    if found["fetched"]:
        tell(f"Forgot what was fetched or unpacked, {_megabytes(found['fetched'])}.")
    if found["compiled"]:
        tell(f"Forgot encoders that engines have compiled, {_megabytes(found['compiled'])}.")
    tell("Next: graftwork fit DATA")


def _megabytes(count: float) -> str:
    return f"{count / 1e6:,.1f} MB"
