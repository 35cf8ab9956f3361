"""How a text table is written: its separator, whether cells are quoted, and whether backslashes escape."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from graftwork.data.labels import readable
from graftwork.errors import DataError

SEPARATORS = ",;\t|"
SAMPLE_ROWS = 50
"""Rows by which the separator is decided."""
_SEP_LINE = re.compile(r'"?sep=([^\r\n\x80-\xff])"?[,;\t]*(?:\r\n|\n|\r)', re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """separator: between cells. quoted: whether a cell in double quotes may hold separators and line ends. escaped:
    whether a backslash takes the meaning from the sign after it. named: whether a first line `sep=;` names the
    separator, as Excel writes it.
    """

    separator: str
    quoted: bool = True
    escaped: bool = False
    named: bool = False

    @classmethod
    def of(cls, path: Path, start: str, *, tabs: bool) -> Dialect:
        """From the first text of a file, as Latin-1. tabs: its ending says that tabs separate.

        The separator is the one that cuts most of the first rows into the same number of cells, two or more; quotes are
        heeded, so that a comma in a heading or a text counts for nothing.

        Raises `DataError` where several separators cut all rows evenly; a tab is then one, since texts hold none.
        """
        if line := _SEP_LINE.match(start):
            return cls(line[1], named=True)
        if tabs:
            return cls("\t")
        found = {separator: _evenness(start, separator) for separator in SEPARATORS}
        best = max(found, key=lambda separator: found[separator])
        even = [separator for separator, (share, _) in found.items() if share == 1.0]
        even = [separator for separator in even if not _loose_quotes(start, separator)] or even
        if "\t" in even:
            return cls("\t")
        if len(even) > 1 and start.strip().count("\n"):
            one, other = (f"'{separator}' into {found[separator][1]}" for separator in even[:2])
            raise DataError(
                f"'{path}' may be separated by {one} or by {other} cells a row; its first rows are even both ways.",
                f"Put the cells that hold the other sign in quotes, or write 'sep={best}' as the first line.",
            )
        return cls(even[0] if even else best)

    def header(self, start: str) -> list[str]:
        """The cells of the first row."""
        quoting = csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE
        text = start[self._skipped(start) :]
        escape = "\\" if self.escaped else None
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=self.separator, quoting=quoting, escapechar=escape)
        return [readable(cell.encode("latin-1")) for cell in next((row for row in rows if row), [])]

    def _skipped(self, start: str) -> int:
        line = _SEP_LINE.match(start) if self.named else None
        return line.end() if line else 0


def _loose_quotes(start: str, separator: str) -> bool:
    """Whether a quote stands within a cell, at neither end of it."""
    edges = re.escape(separator) + '\r\n"'
    return re.search(f'(?<=[^{edges}])"(?=[^{edges}])', start) is not None


def _evenness(start: str, separator: str) -> tuple[float, int]:
    """The part of the first rows that have the most common number of cells, and that number; nothing for one cell."""
    widths: Counter[int] = Counter()
    with contextlib.suppress(csv.Error):  # a cell that is longer than the module takes: the rows before it tell
        for row in itertools.islice(csv.reader(io.StringIO(start, newline=""), delimiter=separator), SAMPLE_ROWS):
            widths.update([len(row)] if row else [])
    if not widths:
        return 0.0, 0
    width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
    return (count / widths.total(), width) if width > 1 else (0.0, 0)
