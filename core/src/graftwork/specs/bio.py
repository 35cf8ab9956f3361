"""Tags of words and spans of characters: a sentence is its words joined by one blank.

Schemes: BIO (also called IOB2), IOB1, where B- parts two neighbours of one label alone (Tjong Kim Sang and Veenstra
1999, arXiv:cs/9907006), and BIOES (also called BILOU: L for E, U for S).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from graftwork.specs.annotations import Span

OUTSIDE = "O"
BIO_TAG = re.compile(r"O|[BIESLU]-\S+")
"""A tag of any of these schemes."""
_BEGINS, _ENDS = frozenset("BSU"), frozenset("ESLU")


def spans_of_tags(words: Sequence[str], tags: Sequence[str]) -> tuple[str, tuple[Span, ...]]:
    """The words joined by blanks, and the spans that their tags say, by the characters of the joined text.

    An I- that follows no word of its label begins a span, as in IOB1, which is also how most tools mend BIO.
    """
    spans: list[Span] = []
    at, label, start, end = 0, "", 0, 0
    for word, tag in zip(words, tags, strict=True):
        prefix, _, name = tag.partition("-")
        if label and (tag == OUTSIDE or prefix in _BEGINS or name != label):
            spans.append(Span(start, end, label))
            label = ""
        if tag != OUTSIDE:
            if not label:
                label, start = name, at
            end = at + len(word)
            if prefix in _ENDS:
                spans.append(Span(start, end, label))
                label = ""
        at += len(word) + 1
    if label:
        spans.append(Span(start, end, label))
    return " ".join(words), tuple(spans)


def tags_of_spans(text: str, spans: Sequence[Span]) -> tuple[list[str], list[str]]:
    """The words of a text, and a BIO tag of each: that of the first span that holds a part of it."""
    words, tags = [], []
    last: Span | None = None
    ordered = sorted(spans, key=lambda span: (span.start, span.end))
    for found in re.finditer(r"\S+", text):
        here = next((span for span in ordered if span.start < found.end() and found.start() < span.end), None)
        words.append(found[0])
        tags.append(OUTSIDE if here is None else f"{'I' if here is last else 'B'}-{here.label}")
        last = here
    return words, tags
