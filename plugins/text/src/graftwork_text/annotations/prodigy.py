"""JSON lines as Prodigy writes them: {"text", "spans": [{"start", "end", "label"}, ...], "answer"}.

Prodigy's documentation, "Annotation interfaces" (ner_manual). Places are characters; the end is excluded.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from graftwork import Annotated, AnnotatedExamples, AnnotationReader, DataError, Span, Spans
from graftwork_text.annotations.json_files import first_rows, rows, span_of
from graftwork_text.annotations.places import by_split

ENDINGS = (".jsonl", ".ndjson", ".json")
ACCEPT = "accept"


class ProdigyReader(AnnotationReader):
    """A file of JSON lines, or a folder with one for each split."""

    def fits(self, place: Path) -> bool:
        files = by_split(place, ENDINGS)
        return bool(files) and all(_is_prodigy(file) for file, _ in files)

    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        """What was rejected or ignored is left out, with a note. An accepted line without spans holds none; one that
        nobody has answered is unlabelled.

        Raises `DataError` for a line without a text, and for spans of another form.
        """
        examples: list[Annotated] = []
        left_out: Counter[str] = Counter()
        for file, split in by_split(place, ENDINGS):
            for number, row in rows(file):
                if row.get("answer", ACCEPT) != ACCEPT:
                    left_out[str(row["answer"])] += 1
                    continue
                if not isinstance(row.get("text"), str):
                    raise DataError(f"Line {number} of '{file}' has no text.", 'Write: {"text": ..., "spans": [...]}')
                spans = _spans(row.get("spans") or [])
                if spans is None:
                    raise DataError(
                        f"Line {number} of '{file}' has the spans {str(row['spans'])[:60]}; a list of {{start, end, "
                        "label} is accepted.",
                        "Mend the line.",
                    )
                known = row.get("spans") is not None or "answer" in row
                examples.append(Annotated(row["text"], Spans(spans) if known else None, split))
        said = [f"Left out: {count} texts whose answer is '{answer}'." for answer, count in sorted(left_out.items())]
        return AnnotatedExamples(tuple(examples), tuple(said))


def _spans(given: Any) -> tuple[Span, ...] | None:
    """The spans of a line; None where they have another form."""
    if not isinstance(given, list):
        return None
    found = []
    for item in given:
        span = span_of(item.get("start"), item.get("end"), item.get("label")) if isinstance(item, dict) else None
        if span is None:
            return None
        found.append(span)
    return tuple(found)


def _is_prodigy(file: Path) -> bool:
    found = False
    for row in first_rows(file):
        spans = _spans(row.get("spans") or [])
        if spans is None or not isinstance(row.get("text"), str):
            return False
        found = found or bool(spans)
    return found
