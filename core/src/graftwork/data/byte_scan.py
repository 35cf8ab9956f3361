"""One pass over the bytes of a text table: what a reader must know before it reads."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

import numpy as np

BLOCK = 2**22
"""Bytes that are looked at together."""
QUOTE, LF, CR = b'"\n\r'


@dataclass(frozen=True)
class Scan:
    """utf8: whether all of it is UTF-8. quotes: whether a double quote is in it. strict: whether every quote opens,
    closes or doubles as in RFC 4180. spans: whether a quoted cell holds a line end. longest: bytes of the longest row.
    lines: line feeds that end a row. pairs: those of them after a carriage return. returns: carriage returns outside of
    quotes that no line feed follows. first_return: where the first of these is.
    """

    utf8: bool
    quotes: bool
    strict: bool
    spans: bool
    longest: int
    lines: int
    pairs: int
    returns: int
    first_return: int


def scan(plain: Path, separator: str, cells: np.ndarray | None = None) -> Scan:
    """cells: where quoted cells begin and end, by turns; by default every quote begins or ends one, which is right for
    a strict file, with doubled quotes too."""
    data = np.memmap(plain, np.uint8, "r")
    decoder, utf8 = codecs.getincrementaldecoder("utf-8")(), True
    edge = np.zeros(256, bool)
    edge[[ord(separator), LF, CR, QUOTE]] = True
    begin = 3 if bytes(data[:3]) == codecs.BOM_UTF8 else 0
    quotes, strict, spans, before = False, True, False, 0
    longest = row = lines = pairs = returns = 0
    first_return = -1
    for start in range(0, len(data), BLOCK):
        block = data[start : start + BLOCK].tobytes()
        utf8 = utf8 and _decodes(decoder, block, start + BLOCK >= len(data))
        found, ends, lone = (_places(block, sign) + start for sign in (QUOTE, LF, CR))
        if len(lone):
            lone = lone[data[np.minimum(lone + 1, len(data) - 1)] != LF]
        quotes = quotes or len(found) > 0
        if cells is not None:
            before = int(np.searchsorted(cells, start))
            found = cells[before : int(np.searchsorted(cells, start + BLOCK))]
        elif len(found):
            opens, closes = found[before % 2 :: 2], found[1 - before % 2 :: 2]
            strict = strict and bool(
                (edge[data[np.maximum(opens - 1, 0)]] | (opens == begin)).all()
                and (edge[data[np.minimum(closes + 1, len(data) - 1)]] | (closes == len(data) - 1)).all()
            )
        if before or len(found):
            inside = (before + np.searchsorted(found, ends)) % 2 == 1
            spans = spans or bool(inside.any())
            ends = ends[~inside]
            lone = lone[(before + np.searchsorted(found, lone)) % 2 == 0]
        before += len(found)
        pairs += int((data[np.maximum(ends - 1, 0)] == CR).sum())
        lines, returns = lines + len(ends), returns + len(lone)
        first_return = int(lone[0]) if first_return < 0 and len(lone) else first_return
        if len(ends):
            longest = max(longest, int(ends[0]) - row, int(np.diff(ends).max(initial=0)))
            row = int(ends[-1])
    return Scan(
        utf8, quotes, strict and (cells is not None or before % 2 == 0), spans, max(longest, len(data) - row), lines,
        pairs, returns, first_return,
    )  # fmt: skip


def _places(block: bytes, sign: int) -> np.ndarray:
    return np.flatnonzero(np.frombuffer(block, np.uint8) == sign) if sign in block else np.array([], np.int64)


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes, last: bool) -> bool:
    try:
        decoder.decode(block, last)
    except UnicodeDecodeError:
        return False
    return True


def longest_line(plain: Path) -> int:
    """The bytes of the longest line of a file."""
    longest = rest = 0
    with plain.open("rb") as file:
        while block := file.read(BLOCK):
            first, *others = block.split(b"\n")
            longest = max(longest, rest + len(first), *(len(line) for line in others[:-1]), 0)
            rest = len(others[-1]) if others else rest + len(first)
    return max(longest, rest)
