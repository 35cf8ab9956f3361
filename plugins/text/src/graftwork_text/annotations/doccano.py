"""JSON lines as doccano writes them: {"text", "label": [[start, end, name], ...]}, or {"text", "entities"}.

Nakayama et al. 2018, doccano: Text Annotation Tool for Human. Places are characters; the end is excluded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graftwork import Annotated, AnnotatedExamples, AnnotationReader, DataError, Span, Spans
from graftwork_text.annotations.json_files import first_rows, rows, span_of
from graftwork_text.annotations.places import by_split

ENDINGS = (".jsonl", ".ndjson", ".json")
TEXTS, LABELS = ("text", "data"), ("label", "labels", "entities")
"""The keys of the text and of its spans, by version."""


class DoccanoReader(AnnotationReader):
    """A file of JSON lines, or a folder with one for each split."""

    def fits(self, place: Path) -> bool:
        files = by_split(place, ENDINGS)
        return bool(files) and all(_is_doccano(file) for file, _ in files)

    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        """A line without a list of spans is unlabelled; an empty list says that nothing is there.

        Raises `DataError` for a line without a text, and for spans of another form.
        """
        examples = []
        for file, split in by_split(place, ENDINGS):
            for number, row in rows(file):
                text = next((row[key] for key in TEXTS if isinstance(row.get(key), str)), None)
                if text is None:
                    raise DataError(f"Line {number} of '{file}' has no text.", 'Write: {"text": ..., "label": [...]}')
                given = next((row[key] for key in LABELS if row.get(key) is not None), None)
                spans = None if given is None else _spans(given)
                if given is not None and spans is None:
                    raise DataError(
                        f"Line {number} of '{file}' has the spans {str(given)[:60]}; a list of [start, end, name], or "
                        "of {start_offset, end_offset, label}, is accepted.",
                        "Mend the line.",
                    )
                examples.append(Annotated(text, None if spans is None else Spans(spans), split))
        return AnnotatedExamples(tuple(examples))


def _spans(given: Any) -> tuple[Span, ...] | None:
    """The spans of a line; None where they have another form."""
    if not isinstance(given, list):
        return None
    found = []
    for item in given:
        if isinstance(item, Mapping):
            item = [item.get(key) for key in ("start_offset", "end_offset", "label")]
        span = span_of(*item) if isinstance(item, list) and len(item) == 3 else None
        if span is None:
            return None
        found.append(span)
    return tuple(found)


def _is_doccano(file: Path) -> bool:
    found = False
    for row in first_rows(file):
        given = next((row[key] for key in LABELS if row.get(key) is not None), [])
        spans = _spans(given)
        if spans is None or not any(isinstance(row.get(key), str) for key in TEXTS):
            return False
        found = found or bool(spans)
    return found
