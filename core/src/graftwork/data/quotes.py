"""How quotes and backslashes are used in a table, decided on all of its bytes; where two readings are possible, none."""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from graftwork.data.byte_scan import Scan, scan
from graftwork.data.dialect import Dialect
from graftwork.errors import DataError

_BODY = re.compile(rb'(?:[^"]|"")*+', re.DOTALL)
_ESCAPED_BODY = re.compile(rb'(?:[^"\\]|\\.|"")*+', re.DOTALL)
_BLANKS = b" "


class Cell(NamedTuple):
    """A quoted cell: bytes from and to. fault: why it is no regular one, as a clause; empty if it is."""

    begin: int
    end: int
    fault: str = ""


class Readings(NamedTuple):
    """The dialect of a file, the facts of its bytes under it, where quoted cells begin and end (None: at every quote),
    and sentences about what was decided."""

    dialect: Dialect
    scan: Scan
    edges: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def decide(path: Path, plain: Path, dialect: Dialect, even: Callable[[Dialect, Scan], bool]) -> Readings:
    """Whether cells are quoted, and whether backslashes escape.

    dialect: the separator. even: whether all rows of a reading have the width of the heading.

    Cells are quoted as in RFC 4180, quotes within a cell being signs; in a tab-separated file that would not be regular
    so, all quotes are signs. Backslashes escape where all of them can, one stands before a quote, a separator or a line
    end, and the file is regular only so.

    Raises `DataError` that names the row and the readings where none or several are possible.
    """
    found = scan(plain, dialect.separator)
    with _mapped(plain) as text:
        escapes = _escapes(text, dialect)
        cells = [] if found.strict else list(quoted_cells(text, dialect))
        fault = next((cell for cell in cells if cell.fault), None)
        edges = None if found.strict else _edges(cells)
        found = found if edges is None else scan(plain, dialect.separator, edges)
        tabs = dialect.separator == "\t"
        notes: tuple[str, ...] = ()
        if escapes and escapes.decisive >= 0:
            first = fault is None and even(dialect, found)
            others = [replace(dialect, escaped=True), replace(dialect, escaped=True, quoted=False)]
            others = [reading for other in others if (reading := _regular(plain, text, other, even))]
            if others and first:
                raise _two_readings(path, text, cells, escapes.decisive)
            if others:
                return others[0]
        elif escapes and escapes.pairs >= 0:
            row = row_of(text, cells, escapes.pairs)
            notes = (f"Row {row} has a doubled backslash; backslashes are read as they are written.",)
        if tabs and (fault is not None or (found.spans and _runs_over(text, dialect))):
            unquoted = replace(dialect, quoted=False)
            facts = scan(plain, dialect.separator, _edges([]))
            if even(unquoted, facts):
                return Readings(unquoted, facts, _edges([]), notes)
        if fault is not None:
            raise _irregular(path, text, cells, fault)
    return Readings(dialect, found, edges, notes)


def quoted_cells(text: mmap.mmap, dialect: Dialect) -> Iterator[Cell]:
    """The cells that begin with a quote, in order; the last one may have a fault that leaves the rest unread."""
    edges = dialect.separator.encode() + b"\r\n"
    body = _ESCAPED_BODY if dialect.escaped else _BODY
    at = text.find(b'"')
    while at >= 0:
        begin = at
        while begin and text[begin - 1] in _BLANKS:
            begin -= 1
        starts = begin == 0 or text[begin - 1] in edges or (begin == 3 and text[:3] == b"\xef\xbb\xbf")
        if starts and dialect.escaped and begin > 1 and text[begin - 2] == ord("\\"):
            starts = False
        if not starts:  # a quote within a cell is a sign of its own
            at = text.find(b'"', at + 1)
            continue
        found = body.match(text, at + 1)
        end = found.end() if found else at + 1
        if end >= len(text):
            yield Cell(at, len(text), "is never closed")
            return
        if begin < at:
            yield Cell(at, end + 1, "has a blank before it")
        elif end + 1 < len(text) and text[end + 1] not in edges:
            yield Cell(at, end + 1, "is closed in the middle of a cell")
        else:
            yield Cell(at, end + 1)
        at = text.find(b'"', end + 1)


class _Escapes(NamedTuple):
    """Where the first backslash before a quote, a separator or a line end is, and the first doubled one; -1 for
    none."""

    decisive: int
    pairs: int


def _escapes(text: mmap.mmap, dialect: Dialect) -> _Escapes | None:
    """None unless every backslash can be an escape."""
    decisive = pairs = -1
    at = text.find(b"\\")
    while at >= 0:
        after = text[at + 1 : at + 2]
        if after == b"\\":
            pairs = at if pairs < 0 else pairs
        elif after and after in b'"\r\n' + dialect.separator.encode():
            decisive = at if decisive < 0 else decisive
        else:
            return None
        at = text.find(b"\\", at + 2)
    return _Escapes(decisive, pairs) if max(decisive, pairs) >= 0 else None


def _regular(
    plain: Path, text: mmap.mmap, dialect: Dialect, even: Callable[[Dialect, Scan], bool]
) -> Readings | None:
    cells = list(quoted_cells(text, dialect)) if dialect.quoted else []
    if any(cell.fault for cell in cells):
        return None
    # A line end that is escaped ends no row, so that the longest row is not known.
    facts = replace(scan(plain, dialect.separator, _edges(cells)), longest=len(text), returns=0)
    return Readings(dialect, facts, _edges(cells)) if even(dialect, facts) else None


def _runs_over(text: mmap.mmap, dialect: Dialect) -> bool:
    """Whether a quoted cell holds a line end and a separator, as where a quote that is a sign of its own opens it."""
    separator = dialect.separator.encode()
    return any(
        b"\n" in (inside := text[cell.begin : cell.end]) and separator in inside for cell in quoted_cells(text, dialect)
    )


def row_of(text: mmap.mmap, cells: list[Cell], place: int) -> int:
    """The number of the row at a byte; the heading is row 1."""
    lines = text[:place].count(b"\n") + 1
    return lines - sum(text[cell.begin : cell.end].count(b"\n") for cell in cells if cell.end <= place)


def _edges(cells: list[Cell]) -> np.ndarray:
    return np.array([place for cell in cells for place in (cell.begin, cell.end)], np.int64)


def _irregular(path: Path, text: mmap.mmap, cells: list[Cell], fault: Cell) -> DataError:
    line = text[fault.begin : fault.begin + 400].split(b"\n")[0].decode(errors="replace").strip()[:60]
    over = text[fault.begin : fault.end].count(b"\n")
    swallowed = f", {over} line{'s' * (over > 1)} further down" if over and "closed in" in fault.fault else ""
    swallowed = f", and {over} lines follow it" if over and "never" in fault.fault else swallowed
    return DataError(
        f"'{path}', row {row_of(text, cells, fault.begin)}: the quote that opens the cell {line} {fault.fault}{swallowed}.",
        "If it is a sign of the text, put the cell in quotes and double it (\"\"\"so\"\" it is\"); else remove it or "
        "the blank before it, or close it.",
    )


def _two_readings(path: Path, text: mmap.mmap, cells: list[Cell], place: int) -> DataError:
    begin = max(text.rfind(b"\n", 0, place) + 1, place - 20)
    written = text[begin : place + 20].split(b"\n")[0].decode(errors="replace").strip()
    return DataError(
        f"'{path}', row {row_of(text, cells, place)}: the backslash in '{written}' may be a sign of the text, or escape "
        "the sign after it; both readings make an even table.",
        "Write it without backslashes before quotes, quotes in a quoted cell doubled, or as JSON lines.",
    )


@contextmanager
def _mapped(plain: Path) -> Iterator[mmap.mmap]:
    with plain.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        yield text
