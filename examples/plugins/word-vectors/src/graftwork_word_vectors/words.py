"""Finds the words of a text that a vocabulary knows, whatever its corpus was cut into.

A piece that is not known is cut finer: what stands between blanks; without the marks around it; and as the Penn
Treebank cuts (Marcus et al. 1993), by whose rules GloVe's corpus was cut: "don't" is "do" and "n't", "it's" is "it" and
"'s".
"""

from __future__ import annotations

from collections.abc import Container, Iterator

import regex

PIECES = (
    regex.compile(r"\S+"),  # known as they stand: o'clock, e.g., :-)
    regex.compile(r"(?:\w\.){2,}|\w+(?:[-.,:/&']\w+)*|[^\w\s]+"),  # abbreviations, compounds and figures; marks
    regex.compile(r"n't\b|'(?:s|m|d|re|ve|ll)\b|\w+?(?=n't\b)|\w+|[^\w\s]"),
)


def known_words(text: str, vocabulary: Container[str], fineness: int = 0) -> Iterator[str]:
    """The longest pieces of a text that are in the vocabulary, in order; what is in none is left out."""
    for piece in PIECES[fineness].findall(text):
        if piece in vocabulary:
            yield piece
        elif fineness + 1 < len(PIECES):
            yield from known_words(piece, vocabulary, fineness + 1)
