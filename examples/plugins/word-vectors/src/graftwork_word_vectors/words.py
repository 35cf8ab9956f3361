"""Finds the words of a text that a vocabulary knows, whatever its corpus was cut into.

A piece that is not known is cut finer: what stands between blanks; without the marks around it; and as the Penn
Treebank cuts (Marcus et al. 1993), by whose rules GloVe's corpus was cut: "don't" is "do" and "n't", "it's" is "it" and
"'s".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Iterator

import regex

PIECES = (
    regex.compile(r"\S+"),  # known as they stand: o'clock, e.g., :-)
    regex.compile(r"(?:\w\.){2,}|\w+(?:[-.,:/&']\w+)*|[^\w\s]+"),  # abbreviations, compounds and figures; marks
    regex.compile(r"n't\b|'(?:s|m|d|re|ve|ll)\b|\w+?(?=n't\b)|\w+|[^\w\s]"),
)


def known_words(text: str, vocabulary: Container[str]) -> Iterator[str]:
    """The longest pieces of a text that are in the vocabulary, in order; what is in none is left out."""
    return (text[start:end] for start, end in known_places(text, vocabulary))


def known_places(text: str, vocabulary: Container[str]) -> Iterator[tuple[int, int]]:
    """Where these pieces stand in the text: the numbers of their characters, from and to."""
    return ((start, end) for start, end, known in _pieces(text, vocabulary, 0, len(text)) if known)


def unknown_share(text: str, vocabulary: Container[str]) -> float:
    """The share of the pieces of a text, 0..1, that are in no vocabulary, however finely they are cut."""
    known = [known for _, _, known in _pieces(text, vocabulary, 0, len(text))]
    return 1 - sum(known) / len(known) if known else 1.0


def _pieces(
    text: str, vocabulary: Container[str], start: int, end: int, fineness: int = 0
) -> Iterator[tuple[int, int, bool]]:
    for found in PIECES[fineness].finditer(text[start:end]):
        begin, close = start + found.start(), start + found.end()
        if found[0] in vocabulary:
            yield begin, close, True
        elif fineness + 1 < len(PIECES):
            yield from _pieces(text, vocabulary, begin, close, fineness + 1)
        else:
            yield begin, close, False


def unfolded(text: str, *, lower: bool) -> list[tuple[int, int]]:
    """For each character of the folded text the characters of `text` that it comes from, from and to: those of its
    grapheme."""
    return [
        (found.start(), found.end())
        for found in regex.finditer(r"\X", text)
        for _ in range(len(folded(found[0], lower=lower)))
    ]


def folded(text: str, *, lower: bool) -> str:
    """A text as its words are looked up: composed, with plain apostrophes, and in small letters where the vocabulary
    has no others.
    """
    text = unicodedata.normalize("NFC", text).replace("’", "'")
    return text.lower() if lower else text
