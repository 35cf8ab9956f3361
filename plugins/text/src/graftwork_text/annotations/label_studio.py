"""Label Studio's export of labelled texts as JSON: tasks with `data` and `annotations`, or its short form.

Label Studio's documentation, "Export annotations": JSON and JSON-MIN. Places are given by a browser, which counts a
sign beyond the Basic Multilingual Plane (an emoji) as two; the words that stand beside them tell which it is.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from graftwork import Annotated, AnnotatedExamples, AnnotationReader, DataError, Span, Spans
from graftwork_text.annotations.json_files import objects, span_of
from graftwork_text.annotations.places import by_split

HEAD = 65_536
"""Bytes of a file that are looked into before it is read as a whole."""


class LabelStudioTextReader(AnnotationReader):
    """A JSON file, or a folder with one for each split."""

    def fits(self, place: Path) -> bool:
        files = by_split(place, (".json",))
        return bool(files) and all(_is_export(file) for file, _ in files)

    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        """A text without an annotation is unlabelled; of several, the ground truth counts, or else the first.

        Raises `DataError` for a task without a text, and for spans that are no places in it.
        """
        examples, several = [], 0
        for file, split in by_split(place, (".json",)):
            for number, task in enumerate(objects(file), 1):
                text = _text(task)
                if text is None:
                    raise DataError(f"Task {number} of '{file}' has no text.", "Export the data with it, as JSON.")
                results, count = _results(task)
                several += count > 1
                spans = None if results is None else _spans(results, text, f"Task {number} of '{file}'")
                examples.append(Annotated(text, spans, split))
        note = f"Of {several} texts with several annotations, the ground truth counts, or else the first."
        return AnnotatedExamples(tuple(examples), (note,) if several else ())


def _text(task: dict[str, Any]) -> str | None:
    data = task.get("data", task)
    texts = {key: value for key, value in data.items() if isinstance(value, str)} if isinstance(data, dict) else {}
    return texts.get("text") or max(texts.values(), key=len, default=None)


def _results(task: dict[str, Any]) -> tuple[list[dict[str, Any]] | None, int]:
    """The labelled spans of a task, None where nobody has labelled it; and how many have."""
    if "data" not in task:
        lists = [value for value in task.values() if isinstance(value, list)]
        spans = [item for items in lists for item in items if isinstance(item, dict) and "labels" in item]
        return (spans if lists else None), 1
    given = task.get("annotations", task.get("completions")) or []
    done = [one for one in given if isinstance(one, dict) and not one.get("was_cancelled")]
    chosen = next((one for one in done if one.get("ground_truth")), done[0] if done else None)
    if chosen is None:
        return None, 0
    return [item["value"] for item in chosen.get("result") or [] if _is_labels(item)], len(done)


def _is_labels(item: Any) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("value"), dict):
        return False
    return item.get("type") == "labels" and "labels" in item["value"]


def _spans(results: list[dict[str, Any]], text: str, where: str) -> Spans:
    found = []
    for value in results:
        for label in value["labels"]:
            span = span_of(value.get("start"), value.get("end"), label)
            if span is None:
                raise DataError(
                    f"{where} has a span from {value.get('start')} to {value.get('end')}; whole numbers of characters "
                    "are accepted.",
                    "Label it as plain text (not HyperText), and export it again.",
                )
            found.append(_in_characters(span, text, value.get("text")))
    return Spans(tuple(found))


def _in_characters(span: Span, text: str, words: Any) -> Span:
    """The span with its places in characters, where they count UTF-16 and only so mean the words."""
    start, end = int(span.start), int(span.end)
    if not isinstance(words, str) or text[start:end] == words or text.isascii():
        return span
    units = text.encode("utf-16-le")
    begin = len(units[: 2 * start].decode("utf-16-le", "ignore"))
    length = len(units[2 * start : 2 * end].decode("utf-16-le", "ignore"))
    return replace(span, start=begin, end=begin + length) if text[begin : begin + length] == words else span


def _is_export(file: Path) -> bool:
    with file.open("rb") as opened:
        head = opened.read(HEAD).lstrip(b"\xef\xbb\xbf \r\n\t")
    if not head.startswith(b"[") or b'"labels"' not in head:
        return False
    try:
        tasks = objects(file)
    except DataError:
        return False
    values = [value for task in tasks for value in _results(task)[0] or ()]
    return bool(values) and all("start" in value and isinstance(value.get("text"), str) for value in values)
