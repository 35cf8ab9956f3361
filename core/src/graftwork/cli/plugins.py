"""`graftwork plugins`: what is installed, its status and errors, and what it brings."""

from __future__ import annotations

import json as json_module
from functools import partial
from typing import Annotated, Any

import typer

from graftwork.cli.options import Json
from graftwork.cli.terminal import answer, say, table, tell
from graftwork.errors import ConfigError, UsageError


def plugins(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="One of them, with all that it brings.")] = "",
    kind: Annotated[
        str,
        typer.Option(
            help="All that is installed of a kind: tasks, heads, freeze-policies, converters, adapters, objectives, "
            "sources (schemes of addresses), resolvers (schemes of encoders), ..."
        ),
    ] = "",
    timing: Annotated[bool, typer.Option("--timing", help="How long importing each takes, the slowest first.")] = False,
    json: Json = False,
) -> None:
    """Installed plugins with their versions, status and errors; of one, all that it brings."""
    from graftwork.plugins import listing
    from graftwork.plugins.config import file_in_use
    from graftwork.plugins.loading import installed, unloaded
    from graftwork.plugins.overlaps import overlaps

    if kind and name:
        raise UsageError(
            f"'{name}' is a plugin, and --kind lists those of every plugin.", f"Write: graftwork plugins --kind {kind}"
        )
    if kind:
        found_kind, rows = listing.of_kind(kind)
        answer(rows, partial(render_kind, found_kind), json)
        return
    if name:
        reports = listing.reports_on(name)
        answer([{**r.as_json(), "brings": listing.brought(r)} for r in reports], render_whole, json)
        return
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
    tell_faults(reports)
    for note in dict.fromkeys(note for report in reports for note in report["notes"]):
        tell(f"Note: {note}")
    tell("Next: graftwork plugins NAME, or graftwork backbones")


def tell_faults(reports: list[dict[str, Any]]) -> None:
    for report in reports:
        who = f"{report['name']} ({report['distribution']} {report['version']})"
        if report["disabled_by"]:
            tell(f"{who}: disabled by '{report['disabled_by']}'")
        if report["error"]:
            tell(f"{who}: {report['error']}")


def render_whole(reports: list[dict[str, Any]]) -> None:
    """All that each of some plugins brings: every spec with the fields that are filled."""
    for report in reports:
        tell(f"{report['name']} ({report['distribution']} {report['version']}): {report['status']}")
        for kind, specs in report["brings"].items():
            tell(f"\n{kind.replace('_', ' ')}")
            for spec in specs:
                tell(f"  {spec['name']}")
                for field, value in spec.items():
                    if field != "name" and value not in ("", [], {}, None, False):
                        tell(f"    {field.replace('_', ' ')}: {words(value)}")
    tell_faults(reports)


def words(value: Any) -> str:
    """The value of a field in a line: lists of names with commas, all else as JSON."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json_module.dumps(value, ensure_ascii=False)


def render_kind(kind: str, rows: list[dict[str, Any]]) -> None:
    """What is installed of a kind as a table: its name, the plugin that brings it, and what it is for."""
    table([kind.replace("_", " "), "plugin", "what it is"], [[r["name"], r["plugin"], r["summary"]] for r in rows])
    tell("Next: graftwork plugins NAME")
