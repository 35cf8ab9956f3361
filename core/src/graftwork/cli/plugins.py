"""`graftwork plugins`: what is installed, its status and errors."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from graftwork.cli.options import Json
from graftwork.cli.terminal import answer, say, table, tell
from graftwork.errors import ConfigError


def plugins(
    timing: Annotated[bool, typer.Option("--timing", help="How long importing each takes, the slowest first.")] = False,
    json: Json = False,
) -> None:
    """Installed plugins with their versions, status and errors."""
    from graftwork.plugins.config import file_in_use
    from graftwork.plugins.loading import installed, unloaded
    from graftwork.plugins.overlaps import overlaps

    try:
        found = installed()
    except ConfigError as error:
        say(f"Warning: {error}")
        found = unloaded(file_in_use())
    for note in found.notes:
        say(f"Warning: {note}")
    notes = overlaps(found.registered["modalities"].values(), found.reports)
    rows = [{**report.as_json(), "notes": notes.get(report.name, [])} for report in found.reports]
    answer(rows, partial(render, timing=timing), json)


def render(reports: list[dict[str, Any]], timing: bool) -> None:
    """The reports as a table, the errors below it."""
    table(
        ["plugin", "distribution", "version", "status", *(["seconds"] if timing else []), "provides"],
        [
            [
                r["name"],
                r["distribution"],
                r["version"],
                r["status"],
                *([f"{r['seconds']:.2f}"] if timing else []),
                ", ".join(f"{len(v)} {k.replace('_', ' ')}" for k, v in r["provides"].items()),
            ]
            for r in (sorted(reports, key=lambda r: -r["seconds"]) if timing else reports)
        ],
    )
    for report in reports:
        who = f"{report['name']} ({report['distribution']} {report['version']})"
        if report["disabled_by"]:
            tell(f"{who}: disabled by '{report['disabled_by']}'")
        if report["error"]:
            tell(f"{who}: {report['error']}")
    for note in dict.fromkeys(note for report in reports for note in report["notes"]):
        tell(f"Note: {note}")
    tell("Next: graftwork backbones")
