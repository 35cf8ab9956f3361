"""Cells that hold other rows of their table, as where a stray quote opens a cell that only the next quote closes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute

from graftwork.data.formats.dialect import Dialect
from graftwork.data.labels import readable
from graftwork.errors import DataError

_COMPUTE: Any = vars(pyarrow.compute)  # made at import, so that type checkers do not see them
NUMBER = r"^\s*[-+]?[0-9]+([.,][0-9]+)?\s*$"


class Suspect(NamedTuple):
    """A cell whose lines have the widths of rows. cells: those of the other columns in it, by column."""

    row: int
    column: str
    text: str
    lines: int
    cells: dict[int, set[str]]


def check_swallowed(path: Path, pieces: Callable[[], Iterable[pa.Table]], dialect: Dialect) -> None:
    """Check cells over several lines. A text may hold lines and separators; one that holds rows is recognised by its
    lines, each of which has the width of the table, and by what it has in another column's place: a value that stands
    in that column in other rows too, or a number where all are.

    pieces: gives the rows from the start; called again only if a cell has lines of such widths.

    Raises `DataError` that names the first such row.
    """
    suspects: list[Suspect] = []
    begin = 2 + dialect.named
    for table in pieces():
        suspects += _suspects(table, dialect, begin)
        begin += len(table)
    wanted: dict[int, set[str]] = {}
    for suspect in suspects:
        for column, cells in suspect.cells.items():
            wanted.setdefault(column, set()).update(cells)
    homes = {column: _home(pieces(), column, cells) for column, cells in wanted.items()}
    for suspect in suspects:
        if any(cells & homes[column] for column, cells in suspect.cells.items()):
            raise DataError(
                f"'{path}', row {suspect.row}: the cell of '{suspect.column}' that begins with '{suspect.text}' runs "
                f"over {suspect.lines} lines, and these look like rows of the table.",
                "If a stray quote opens it, remove that, or double it and put the cell in quotes; if the text is meant "
                "so, give the table as JSON lines or Parquet.",
            )


def _suspects(table: pa.Table, dialect: Dialect, begin: int) -> Iterator[Suspect]:
    width = table.num_columns
    for column, name in enumerate(table.column_names):
        cells = table.column(column)
        found = _COMPUTE["indices_nonzero"](_COMPUTE["match_substring"](cells, "\n")).to_pylist()
        for index in found:
            text = readable(cells[index].as_py())
            first, *middle, last = ([*line.split(dialect.separator)] for line in text.split("\n"))
            # The cell begins in its column, and its last line ends there.
            if len(first) != width - column or len(last) != column + 1 or any(len(row) != width for row in middle):
                continue
            rows = [dict(enumerate(first[1:], column + 1)), *(dict(enumerate(row)) for row in middle)]
            rows.append(dict(enumerate(last[:-1])))
            others: dict[int, set[str]] = {}
            for place, cell in (item for row in rows for item in row.items()):
                if place != column and cell.strip():
                    others.setdefault(place, set()).add(cell.removesuffix("\r"))
            lines = text.count("\n") + 1
            yield Suspect(begin + index, name, text.split("\n")[0].strip()[:40], lines, others)


def _home(pieces: Iterable[pa.Table], column: int, cells: set[str]) -> set[str]:
    """Those of the cells that stand in the column, or are numbers where all cells of it are."""
    found: set[str] = set()
    numbers = True
    for table in pieces:
        values = table.column(column)
        listed = pa.array(sorted(cells), pa.string()).cast(values.type)
        held = values.filter(_COMPUTE["is_in"](values, value_set=listed))
        found |= {readable(value) for value in _COMPUTE["unique"](held).to_pylist()}
        numbers = numbers and _COMPUTE["all"](_COMPUTE["match_substring_regex"](values, NUMBER)).as_py() is not False
    return found | ({cell for cell in cells if re.match(NUMBER, cell)} if numbers else set())
