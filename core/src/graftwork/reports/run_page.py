"""The report of a run: what was asked and found, from its record and some of its examples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graftwork.reports.charts import figure
from graftwork.reports.page import write_page
from graftwork.reports.shown import Shown, ShownExample, Viewer
from graftwork.specs.agreement import words


def write_report(record: Mapping[str, Any], path: Path, shown: Shown = Shown()) -> None:
    """The report, one HTML page. shown: examples of the data; without, those that the record names have no pictures.

    Raises `OSError`.
    """
    worst = shown.worst or [ShownExample(**said) for said in record.get("validation", {}).get("mistakes", ())]
    write_page(
        path, "run.html.j2", record=record, worst=worst, viewer=Viewer(shown.reader), named=shown.named,
        depths=_depths(record), measured=measured(record),
    )  # fmt: skip


def measured(record: Mapping[str, Any]) -> list[list[str]]:
    """The figures of a run as a table, its head first: a row each with its words, and the test split where there is
    one."""
    metrics, test = record["metrics"], record["metrics"].get("test", {})
    known = {one["name"]: one for one in record.get("validation", {}).get("figures", ())}
    rows = [["figure", "validation", *(["test"] if test else [])]]
    for name, value in metrics.items():
        if isinstance(value, int | float):
            one = known.get(name, {"words": words(name), "higher_is_better": True})
            title = one["words"] + ("" if one["higher_is_better"] else " (less is better)")
            rows.append([title, figure(value), *([figure(test.get(name))] if test else [])])
    return rows


def _depths(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The score of each stage that was tried, under `depths`, or as `--tap all` leaves it under `taps`."""
    if record.get("depths"):
        return list(record["depths"])
    found = []
    for row in record.get("taps", ()):
        stage, score, *_ = row.values()
        found.append({"stage": stage, "score": score, "chosen": stage == record["tap"]})
    return found
