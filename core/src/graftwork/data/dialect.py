"""How a text table is written: its separator, whether cells are quoted, its line ends, and how long its lines are."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

SEPARATORS = ",;\t|"
SAMPLE_ROWS = 50
"""Rows by which the separator is decided."""
LEAST_BLOCK = 2**20
"""Bytes that pyarrow reads at a time where lines are short."""


@dataclass(frozen=True)
class Dialect:
    """separator: between cells. quoted: whether a cell in double quotes may hold separators and line ends."""

    separator: str
    quoted: bool = True

    @classmethod
    def of(cls, start: str, *, tabs: bool) -> Dialect:
        """From the first text of a file. tabs: its ending says that tabs separate.

        The separator is the one that cuts most of the first rows into the same number of cells, two or more; quotes are
        heeded, so that a comma in a heading or a text counts for nothing.
        """
        if tabs:
            return cls("\t")
        return cls(max(SEPARATORS, key=lambda separator: _evenness(start, separator)))

    def header(self, start: str) -> list[str]:
        """The cells of the first row."""
        quoting = csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE
        return next(csv.reader(io.StringIO(start), delimiter=self.separator, quoting=quoting))


def _evenness(start: str, separator: str) -> tuple[float, int]:
    """The part of the first rows that have the most common number of cells, and that number; nothing for one cell."""
    widths: Counter[int] = Counter()
    with contextlib.suppress(csv.Error):  # a carriage return within a line: the rows before it tell
        for row in itertools.islice(csv.reader(io.StringIO(start), delimiter=separator), SAMPLE_ROWS):
            widths.update([len(row)] if row else [])
    if not widths:
        return 0.0, 0
    width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
    return (count / widths.total(), width) if width > 1 else (0.0, 0)


def old_mac(start: str) -> bool:
    """Whether lines end in a carriage return alone, which pyarrow does not know."""
    return "\n" not in start and "\r" in start


def block_size(path: Path) -> int:
    """Bytes to read at a time, so that the longest line of a file fits twice: pyarrow refuses one that does not."""
    longest = rest = 0
    with path.open("rb") as file:
        while block := file.read(LEAST_BLOCK):
            first, *others = block.split(b"\n")
            longest = max(longest, rest + len(first), *(len(line) for line in others[:-1]), 0)
            rest = len(others[-1]) if others else rest + len(first)
    return min(max(LEAST_BLOCK, 2 * max(longest, rest)), 2**31 - 1)
