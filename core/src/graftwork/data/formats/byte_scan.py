"""One pass over the bytes of a text table: what a reader must know before it reads."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

BLOCK = 2**18
"""Bytes that are looked at together: so few that they stay in the cache of a processor."""
QUOTE, LF, CR = b'"\n\r'


@dataclass(frozen=True)
class Scan:
    """utf8: whether all of it is UTF-8. quotes, backslashes: whether one is in it. strict: whether every quote opens,
    closes or doubles as in RFC 4180. spans: whether a quoted cell holds a line end. longest: bytes of the longest row.
    lines: line feeds that end a row. pairs: those of them after a carriage return. returns: carriage returns outside of
    quotes that no line feed follows. first_return: where the first of these is.
    """

    utf8: bool
    quotes: bool
    backslashes: bool
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
    decoder, utf8 = codecs.getincrementaldecoder("utf-8")(), True
    edge = np.zeros(256, bool)
    edge[[ord(separator), LF, CR, QUOTE]] = True
    quotes, backslashes, strict, spans, before = False, False, True, False, 0
    longest = row = lines = pairs = returns = start = 0
    first_return = -1
    for block, around in _blocks(plain):
        utf8 = utf8 and _decodes(decoder, block)
        found, ends = _places(block, QUOTE), _places(block, LF)
        lone = found[:0]
        if np.count_nonzero(around[1:-1] == CR) > np.count_nonzero(around[ends[ends > 0]] == CR):
            lone = _places(block, CR)
        quotes, backslashes = quotes or len(found) > 0, backslashes or b"\\" in block
        lone = lone[around[lone + 2] != LF]
        if cells is not None:
            before = int(np.searchsorted(cells, start))
            found = cells[before : int(np.searchsorted(cells, start + len(block)))] - start
        elif len(found):
            opens, closes = found[before % 2 :: 2], found[1 - before % 2 :: 2]
            begins = opens == (3 if start == 0 and block.startswith(codecs.BOM_UTF8) else 0) - start
            strict = strict and bool((edge[around[opens]] | begins).all() and edge[around[closes + 2]].all())
        if before or len(found):
            inside = (before + np.searchsorted(found, ends)) % 2 == 1
            spans = spans or bool(inside.any())
            ends = ends[~inside]
            lone = lone[(before + np.searchsorted(found, lone)) % 2 == 0]
        before += len(found)
        pairs += int((around[ends] == CR).sum())
        lines, returns = lines + len(ends), returns + len(lone)
        first_return = int(lone[0]) + start if first_return < 0 and len(lone) else first_return
        if len(ends):
            longest = max(longest, int(ends[0]) + start - row, int(np.diff(ends).max(initial=0)))
            row = int(ends[-1]) + start
        start += len(block)
    utf8 = utf8 and _decodes(decoder, b"", last=True)
    strict = strict and (cells is not None or before % 2 == 0)
    longest = max(longest, start - row)
    return Scan(utf8, quotes, backslashes, strict, spans, longest, lines, pairs, returns, first_return)


def _blocks(plain: Path) -> Iterator[tuple[bytes, np.ndarray]]:
    """Each block, and its bytes with the one before and the one after it; line feeds stand at both ends of the file."""
    before = b"\n"
    with plain.open("rb") as file:
        block = file.read(BLOCK)
        while block:
            after = file.read(BLOCK)
            yield block, np.frombuffer(before + block + (after[:1] or b"\n"), np.uint8)
            before, block = block[-1:], after


def _places(block: bytes, sign: int) -> np.ndarray:
    return np.flatnonzero(np.frombuffer(block, np.uint8) == sign) if sign in block else np.array([], np.int64)


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes, last: bool = False) -> bool:
    if block.isascii() and not decoder.getstate()[0]:
        return True
    try:
        decoder.decode(block, last)
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True)
class Lines:
    """longest: bytes of the longest line. lines: how many there are. brackets: the most opening ones in a line."""

    longest: int
    lines: int
    brackets: int


def scan_lines(plain: Path, enough: int) -> Lines:
    """The facts of the lines of a JSON file. enough: brackets in a line that are not worth counting."""
    longest = rest = lines = brackets = open_rest = 0
    with plain.open("rb") as file:
        while block := file.read(BLOCK):
            first, *others = block.split(b"\n")
            longest = max(longest, rest + len(first), *map(len, others[:-1]), 0)
            rest = len(others[-1]) if others else rest + len(first)
            lines += len(others)
            if open_rest + _beside_rows(block) < enough:
                open_rest = _opening(others[-1]) if others else open_rest + _opening(first)
                continue
            brackets = max(brackets, open_rest + _opening(first), *map(_opening, others), 0)
            open_rest = _opening(others[-1]) if others else open_rest + _opening(first)
    return Lines(max(longest, rest), lines + 1, max(brackets, open_rest))


def _beside_rows(block: bytes) -> int:
    """How many brackets open in a block, those not counted with which its rows begin."""
    signs = np.frombuffer(block, np.uint8)
    opening = (signs | 0x20) == ord("{")  # "[" differs from "{" in that bit
    return int(np.count_nonzero(opening)) - int(np.count_nonzero(opening[1:] & (signs[:-1] == LF)))


def _opening(line: bytes) -> int:
    return line.count(b"[") + line.count(b"{")
