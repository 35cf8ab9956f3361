"""The words of a text, the windows that an encoder reads of it, and what moves when a text is converted."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

import regex

WORD = regex.compile(r"[\w\p{M}]+|[^\w\s\p{M}]")
"""A run of letters and digits, or one other sign."""

OVERLAP = 0.25
"""The part of a window that the next one reads again, so that no word is read without what stands around it."""


class Piece(NamedTuple):
    """A part of a text: where it begins and ends in characters, and the words that it is asked about, from and to."""

    begin: int
    end: int
    first: int
    last: int


def words_of(text: str) -> list[tuple[int, int]]:
    """The words of a text: from and to, in characters."""
    return [found.span() for found in WORD.finditer(text)]


def windows(text: str, words: Sequence[tuple[int, int]], first_window: Callable[[str], str]) -> list[Piece]:
    """Overlapping parts of a text that each fit an encoder; every word is asked about in the one in whose middle it
    lies.

    first_window: the beginning of a text that an encoder reads at once.
    """
    cuts = [(0, len(first_window(text)))]
    while cuts[-1][1] < len(text):
        begin, end = cuts[-1]
        back = next((a for a, _ in reversed(words) if begin < a <= end - OVERLAP * (end - begin)), end)
        cuts.append((back, back + len(first_window(text[back:]))))
    middles = [(end + begin) / 2 for (_, end), (begin, _) in itertools.pairwise(cuts)]
    pieces, first = [], 0
    for (begin, end), middle in zip(cuts, [*middles, float("inf")], strict=True):
        last = next((i for i in range(first, len(words)) if words[i][0] >= middle), len(words))
        pieces.append(Piece(begin, end, first, last))
        first = last
    return pieces


class Moved:
    """Where each character of a text is once it was converted, and back; both are the same where nothing moved."""

    def __init__(self, before: str, after: str) -> None:
        self._there, self._back = None, None
        if before != after:
            blocks = _aligned(before, after)
            self._there = _places(blocks, len(before), len(after))
            self._back = _places([(c, d, a, b) for a, b, c, d in blocks], len(after), len(before))

    def there(self, place: int) -> int:
        return place if self._there is None else self._there[min(place, len(self._there) - 1)]

    def back(self, place: int) -> int:
        return place if self._back is None else self._back[min(place, len(self._back) - 1)]


def _aligned(before: str, after: str) -> list[tuple[int, int, int, int]]:
    """The parts of both texts that stand for each other: from and to in the one, from and to in the other."""
    clusters = regex.findall(r"\X", before)
    composed = [unicodedata.normalize("NFC", cluster) for cluster in clusters]
    if "".join(composed) != after:
        return [block[1:] for block in SequenceMatcher(None, before, after, autojunk=False).get_opcodes()]
    here, there = ([0, *itertools.accumulate(map(len, parts))] for parts in (clusters, composed))
    return [(*a, *b) for a, b in zip(itertools.pairwise(here), itertools.pairwise(there), strict=True)]


def _places(blocks: Sequence[tuple[int, int, int, int]], length: int, other: int) -> list[int]:
    """The place in the other text of each place in the one, and of its end."""
    found = [0] * length + [other]
    for begin, end, there, there_end in blocks:
        for place in range(begin, end):
            found[place] = min(there + place - begin, there_end)
    return found
