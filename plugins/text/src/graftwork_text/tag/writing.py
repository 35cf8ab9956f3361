"""Entities as files that other tools read, and as a page shows them."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graftwork import AnswerFolder, Raw, Span, Spans
from graftwork_text.tag.words import words_of

COLOURS = ("#ffd8a8", "#a5d8ff", "#b2f2bb", "#eebefa", "#ffec99", "#ffc9c9", "#99e9f2", "#d0bfff")
"""Light enough for black letters; the name of each entity is written beside it."""


class EntityFolder(AnswerFolder):
    """entities.jsonl: a text with its spans a line, as annotation tools read them; entities.conll: a word with its tag
    a line, and a blank line after each text."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._lines = (folder / "entities.jsonl").open("w", encoding="utf-8")
        self._columns = (folder / "entities.conll").open("w", encoding="utf-8")

    def add(self, raw: Raw, answer: dict[str, Any]) -> None:
        text = text_of(raw)
        spans = [{name: one[name] for name in ("start", "end", "label")} for one in answer["entities"]]
        self._lines.write(json.dumps({"text": text, "spans": spans}, ensure_ascii=False) + "\n")
        for begin, end in words_of(text):
            tag = "O"
            for one in spans:
                if one["start"] <= begin < one["end"]:
                    tag = f"{'B' if begin == one['start'] else 'I'}-{one['label']}"
            self._columns.write(f"{text[begin:end]}\t{tag}\n")
        self._columns.write("\n")

    def close(self) -> None:
        self._lines.close()
        self._columns.close()


def text_of(raw: Raw) -> str:
    """The text as it was given."""
    return raw.value if isinstance(raw.value, str) else raw.content().decode("utf-8", "replace")


def drawn(text: str, found: Spans | None, true: Spans | None, names: Sequence[str]) -> str:
    """A text as HTML with its spans marked: what is true, and below it what was found, as far as they are given."""
    rows = [("true", true), ("found", found)]
    lines = [
        f"<dt>{word}</dt><dd>{_marked(text, spans.spans, names)}</dd>" for word, spans in rows if spans is not None
    ]
    return f'<dl class="texts">{"".join(lines)}</dl>'


def _marked(text: str, spans: Sequence[Span], names: Sequence[str]) -> str:
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}
    made, done = [], 0
    for span in sorted(spans, key=lambda span: span.start):
        begin, end = max(done, int(span.start)), int(span.end)
        made.append(html.escape(text[done:begin]))
        colour = colours.get(span.label, "#dee2e6")
        name = f"<small>{html.escape(span.label)}</small>"
        made.append(f'<mark style="background:{colour}">{html.escape(text[begin:end])} {name}</mark>')
        done = end
    return "".join(made) + html.escape(text[done:])
