"""`graftwork demo`: a tour across modalities."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graftwork.cli.options import Json, Offline, go_offline
from graftwork.cli.progress import watching
from graftwork.cli.terminal import answer, steady, table, tell


def demo(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="One demo alone; left out, the tour.")] = "",
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the data of the demo that is named in a new folder.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page of the tour with charts.")] = None,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """A tour across modalities that needs no data of yours."""
    go_offline(offline)
    from graftwork import demo as tour
    from graftwork.reports.page import write_asked

    with steady(), watching() as watch:
        result = tour.run(name, data, watch)
    if html is not None:
        write_asked(html, "tour.html.j2", result=result)
    answer(result, render, json)
    if html is not None and not json:
        tell(f"Page: {html}")


def render(result: dict[str, Any]) -> None:
    """The demos as a table and in a sentence each, and the mismatch that is refused."""
    from graftwork.demo import verdict

    rows = []
    measure = next((row["metric"] for row in result["demos"] if "metric" in row), "figure")
    for row in result["demos"]:
        if row.get("skipped"):
            rows.append([row["name"], row["modality"], "-", "-", "-", "-", "-", "skipped"])
            continue
        found = row[row["metric"]]
        rows.append(
            [
                row["name"], row["modality"], row["backbone"], str(row["n"]), f"{found:.3f}",
                f"{row['baseline']:.3f} ({row['baseline_name']})", f"{row['seconds']:.1f}",
                verdict(row),
            ]
        )  # fmt: skip
    table(
        ["demo", "modality", "backbone", "n", measure, "baseline", "seconds", "verdict"],
        rows,
        ("n", measure, "seconds"),
    )
    for row in result["demos"]:
        if row.get("skipped"):
            tell(f"{row['name']}: {row['skipped']}")
        elif row.get("sentence"):
            tell(row["sentence"])
    if result["refused"]:
        refused = result["refused"]
        tell(
            f"\nA mismatch is refused before any weight is loaded ({refused['data']} given to {refused['backbone']}):\n"
            f"  {refused['message']}\n"
        )
    kept = next((row for row in result["demos"] if row.get("data")), None)
    if kept:
        tell(f"Next: graftwork check {kept['data']} --task {kept['task']}")
    else:
        tell("Next: graftwork fit YOUR-DATA")
