"""How quotes and backslashes are used in a table, decided on all of its bytes."""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from graftwork.data.formats.byte_scan import BLOCK, Scan, scan
from graftwork.data.formats.dialect import Dialect
from graftwork.errors import DataError

_BODY = re.compile(rb'(?:[^"]|"")*+', re.DOTALL)
_ESCAPED_BODY = re.compile(rb'(?:[^"\\]|\\.|"")*+', re.DOTALL)
OPEN, MIDDLE, BLANK = "is never closed", "is closed in the middle of a cell", "has a blank before it"
"""Faults of quoted cells."""


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

    Cells are quoted as in RFC 4180, quotes within a cell being signs. In a tab-separated file that is not strictly so,
    or has quotes where none are needed, all quotes are signs. Backslashes escape where all of them can, one stands
    before a quote, a separator or a line end, and the file is regular only so.

    Raises `DataError` that names the row and the readings where none or several are possible.
    """
    found = scan(plain, dialect.separator)
    tabs = dialect.separator == "\t" and found.quotes
    if found.strict and not tabs and not found.backslashes:
        return Readings(dialect, found)
    with _mapped(plain) as text:
        escapes = _escapes(text, dialect)
        decisive = escapes is not None and escapes.decisive >= 0
        if found.strict and not tabs and not (decisive and not (found.quotes and even(dialect, found))):
            return Readings(dialect, found, notes=_doubled(text, [], escapes))
        cells = list(quoted_cells(text, dialect)) if found.quotes else []
        facts = found if found.strict else scan(plain, dialect.separator, _edges(cells))
        first = Readings(dialect, facts, _edges(cells), _doubled(text, cells, escapes))
        fault = next((cell for cell in cells if cell.fault), None)
        is_even = fault is None and even(dialect, facts)
        unquoted = _regular(plain, text, replace(dialect, quoted=False), even) if tabs else None
        if escapes is not None and decisive and not (found.strict and found.quotes and is_even):
            others = [replace(dialect, escaped=True), replace(dialect, escaped=True, quoted=False)]
            others = [reading for other in others if (reading := _regular(plain, text, other, even))]
            if others and (is_even or unquoted):
                raise _two_readings(path, text, cells, escapes.decisive)
            if others:
                return others[0]
        if unquoted:
            if not is_even or not found.strict:
                return unquoted._replace(notes=first.notes)
            if needless := _needless(text, cells):
                if needless.over:
                    raise _quotes_or_signs(path, text, cells, needless.cell)
                row = row_of(text, cells, needless.cell.begin)
                note = f"Row {row} has quotes that its cell does not need; they are read as signs of the text."
                return unquoted._replace(notes=(*first.notes, note))
        if fault is not None:
            raise _irregular(path, text, cells, fault)
    return first


def quoted_cells(text: mmap.mmap, dialect: Dialect) -> Iterator[Cell]:
    """The cells that begin with a quote, in order; the last one may have a fault that leaves the rest unread."""
    edges = dialect.separator.encode() + b"\r\n"
    body = _ESCAPED_BODY if dialect.escaped else _BODY
    at = text.find(b'"')
    while at >= 0:
        begin = at
        while begin and text[begin - 1] in b" ":
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
            yield Cell(at, len(text), OPEN)
            return
        if begin < at:
            yield Cell(at, end + 1, BLANK)
        elif end + 1 < len(text) and text[end + 1] not in edges:
            yield Cell(at, end + 1, MIDDLE)
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


def _regular(plain: Path, text: mmap.mmap, dialect: Dialect, even: Callable[[Dialect, Scan], bool]) -> Readings | None:
    cells = list(quoted_cells(text, dialect)) if dialect.quoted else []
    if any(cell.fault for cell in cells):
        return None
    facts = scan(plain, dialect.separator, _edges(cells))
    if dialect.escaped:  # a line end that is escaped ends no row, so that the longest row is not known
        facts = replace(facts, longest=len(text), returns=0)
    return Readings(dialect, facts, _edges(cells)) if even(dialect, facts) else None


class _Needless(NamedTuple):
    """A quoted cell that needs no quotes, or one (over) that runs over what would be rows without them."""

    cell: Cell
    over: bool


def _needless(text: mmap.mmap, cells: list[Cell]) -> _Needless | None:
    """The first cell that speaks against quoting in a tab-separated file that can be read with and without.

    None where the heading is quoted, or a cell that needs quotes has them: with a tab, or doubled quotes beside other
    signs in it, or, as Excel has it, a comma where no cell without quotes has one.
    """
    inside = [text[cell.begin + 1 : cell.end - 1] for cell in cells]
    if cells[0].begin < 4 or any(b'""' in body and body.strip(b'"') for body in inside):
        return None
    over = next((cell for cell, body in zip(cells, inside, strict=True) if b"\n" in body or b"\r" in body), None)
    if over is not None:
        return _Needless(over, True)
    commas = sum(body.count(b",") for body in inside)
    if any(b"\t" in body for body in inside) or (commas and commas == _count(text, b",", len(text))):
        return None
    return _Needless(cells[0], False)


def _doubled(text: mmap.mmap, cells: list[Cell], escapes: _Escapes | None) -> tuple[str, ...]:
    if escapes is None or escapes.pairs < 0:
        return ()
    row = row_of(text, cells, escapes.pairs)
    return (f"Row {row} has a doubled backslash; backslashes are read as they are written.",)


def row_of(text: mmap.mmap, cells: list[Cell], place: int) -> int:
    """The number of the row at a byte; the heading is row 1."""
    lines = _count(text, b"\n", place) + 1
    return lines - sum(text[cell.begin : cell.end].count(b"\n") for cell in cells if cell.end <= place)


def _count(text: mmap.mmap, sign: bytes, end: int) -> int:
    return sum(text[start : min(start + BLOCK, end)].count(sign) for start in range(0, end, BLOCK))


def _edges(cells: list[Cell]) -> np.ndarray:
    return np.array([place for cell in cells for place in (cell.begin, cell.end)], np.int64)


def _irregular(path: Path, text: mmap.mmap, cells: list[Cell], fault: Cell) -> DataError:
    line = text[fault.begin : fault.begin + 400].split(b"\n")[0].decode(errors="replace").strip()[:60]
    over = text[fault.begin : fault.end].count(b"\n")
    where = f", {over} line{'s' * (over > 1)} further down" if over and fault.fault == MIDDLE else ""
    where = (
        f", and {over} line{'s' * (over > 1)} follow{'s' * (over == 1)} it" if over and fault.fault == OPEN else where
    )
    return DataError(
        f"'{path}', row {row_of(text, cells, fault.begin)}: the quote that opens the cell {line} {fault.fault}{where}.",
        "Remove the blank before it."
        if fault.fault == BLANK
        else 'Remove it, or, if it is part of the text, put the cell in quotes and double it: """so"" it is".',
    )


def _quotes_or_signs(path: Path, text: mmap.mmap, cells: list[Cell], cell: Cell) -> DataError:
    line = text[cell.begin : cell.end].split(b"\n")[0].decode(errors="replace").strip()[:60]
    return DataError(
        f"'{path}', row {row_of(text, cells, cell.begin)}: the quote that opens {line} may belong to a cell of several "
        "lines, or be a sign of the text; both readings make an even table.",
        "Write it as JSON lines, or remove the quote.",
    )


def _two_readings(path: Path, text: mmap.mmap, cells: list[Cell], place: int) -> DataError:
    begin = max(text.rfind(b"\n", 0, place) + 1, place - 20)
    written = text[begin : place + 20].split(b"\n")[0].decode(errors="replace").strip()
    return DataError(
        f"'{path}', row {row_of(text, cells, place)}: the backslash in '{written}' may be a sign of the text, or "
        "escape the sign after it; both readings make an even table.",
        "Write it without backslashes before quotes, quotes in a quoted cell doubled, or as JSON lines.",
    )


@contextmanager
def _mapped(plain: Path) -> Iterator[mmap.mmap]:
    with plain.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        yield text
