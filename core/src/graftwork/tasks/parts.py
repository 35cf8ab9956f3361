"""What a task says of its answers on held-out examples, as parts of a report: plain numbers that any page can draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class HeatMap:
    """Counts by name: the rows are what is true, the columns what was answered. says: its message, a sentence. named:
    what stands out, a few words each."""

    title: str
    says: str
    rows: Sequence[str]
    columns: Sequence[str]
    counts: Sequence[Sequence[int]]
    named: Sequence[str] = ()


@dataclass(frozen=True)
class AnswerTable:
    """Figures by name: the first cell of a row names it, the others are numbers or words."""

    title: str
    says: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | int]]


@dataclass(frozen=True)
class ScatterPlot:
    """Points x, y in one unit, such as true and answered values; where x is y a line is drawn."""

    title: str
    says: str
    x: str
    y: str
    points: Sequence[tuple[float, float]]


ReportPart = HeatMap | AnswerTable | ScatterPlot

KINDS: dict[type[ReportPart], str] = {HeatMap: "heat_map", AnswerTable: "table", ScatterPlot: "scatter"}


def part_json(part: ReportPart) -> dict[str, Any]:
    """A part as `run.json` keeps it, with its `kind`."""
    return {"kind": KINDS[type(part)], **asdict(part)}


@dataclass(frozen=True)
class Mistake:
    """An answer that a report shows. row: of the outputs. said: the answer in words. note: how sure or how far off it
    is, in a few words."""

    row: int
    said: str
    note: str = ""
