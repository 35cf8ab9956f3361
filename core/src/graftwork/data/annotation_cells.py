"""Labels that lie in the input, in the cells of a table: spans, BIO tags, boxes, masks, transcripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from graftwork.data.cells import cell_text, feature
from graftwork.data.labels import label_text, readable
from graftwork.data.path_guard import PathGuard
from graftwork.errors import DataError
from graftwork.specs.annotations import Box, Boxes, Mask, Region, Span, Spans
from graftwork.specs.bio import spans_of_tags
from graftwork.specs.json_text import parse_json
from graftwork.specs.task import RawLabel

LABEL_NAMES = {
    "spans": ("spans", "entities", "ner_tags", "tags", "labels", "label", "annotations"),
    "boxes": ("boxes", "objects", "bboxes", "annotations", "labels", "label"),
    "mask": ("mask", "annotation", "segmentation", "segmentation_mask", "labels", "label"),
    "transcript": ("transcript", "transcription", "sentence", "text", "normalized_text", "label"),
}
"""The usual names of the column of each kind of labels, the plainest first."""
WORD_NAMES = ("tokens", "words")
"""The usual names of a column of lists of words."""
ACCEPTED = {
    "spans": "a list of {start, end, label}, as such or as JSON, or of BIO tags beside a list of words",
    "boxes": "a list of {xmin, ymin, xmax, ymax, label} or of {bbox: [x, y, width, height], category}",
    "mask": "the path of a mask image, or an image",
    "transcript": "text",
}
"""What a cell may hold, in words."""

STARTS, ENDS = ("start", "start_offset", "begin"), ("end", "end_offset", "stop")
NAMES = ("label", "category", "category_name", "class", "class_name", "type", "entity", "name", "tag")
"""The keys of a label's name, the plainest first."""


@dataclass(frozen=True)
class LabelColumn:
    """A column of labels of one kind. base, path_guard: where relative paths in it start from, and may lead.
    words: the column of lists of words that tags are of; empty if there is none. seconds: whether spans are in
    seconds."""

    name: str
    kind: str
    base: Path
    path_guard: PathGuard | None
    words: str = ""
    seconds: bool = False

    def labels(self, table: pa.Table, begin: int = 0) -> list[RawLabel | None]:
        """The label of each row, None for a missing one. begin: how many rows of the source came before.

        Raises `DataError` for a cell that holds something else, with the number of its row.
        """
        names = _names(feature(table, self.name))
        cells = table.column(self.name).to_pylist()
        words = table.column(self.words).to_pylist() if self.words else [None] * len(cells)
        found: list[RawLabel | None] = []
        for row, (cell, tagged) in enumerate(zip(cells, words, strict=True), begin + 1):
            try:
                found.append(self._label(cell, tagged, names, row))
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                shown = " ".join(str(cell).split())[:60]
                reason = f" ({error})" if isinstance(error, _Wrong) else ""
                raise DataError(
                    f"Row {row} has '{shown}' in its column '{self.name}'{reason}; accepted is {ACCEPTED[self.kind]}.",
                    "Mend it, or name another column: --label COLUMN",
                ) from error
        return found

    def _label(self, cell: Any, words: Any, names: Sequence[str], row: int) -> RawLabel | None:
        if self.kind == "transcript":
            if isinstance(cell, list | dict):
                raise TypeError
            return label_text(cell)
        if self.kind == "mask":
            return self._mask(cell, row)
        if isinstance(cell, str | bytes):
            text = cell_text(cell) or ""
            cell = parse_json(text) if text.strip() else None
        if cell is None:
            return None
        if self.kind == "boxes":
            return _boxes(cell, names)
        if self.words:
            return _tagged(words, cell, names)
        return Spans(tuple(_spans(cell, names)), "seconds" if self.seconds else "characters")

    def _mask(self, cell: Any, row: int) -> Mask | None:
        if cell is None or (isinstance(cell, str) and not cell.strip()):
            return None
        if isinstance(cell, str):
            return Mask(self._path(cell, row))
        if isinstance(cell, bytes):
            return Mask(content=cell)
        if not isinstance(cell, Mapping):
            raise TypeError
        if (held := cell.get("bytes")) is not None:
            path = None
        else:
            path = self._path(cell["path"], row) if cell.get("path") else None
        size = cell.get("size")
        return Mask(
            path,
            held or b"",
            {item["level"]: item["label"] for item in cell.get("names") or ()},
            frozenset(cell.get("ignored") or ()),
            tuple(_region(item) for item in cell.get("regions") or ()),
            (int(size[0]), int(size[1])) if size else None,
        )

    def _path(self, given: str, row: int) -> Path:
        path = self.base / readable(given)
        if self.path_guard is not None:
            self.path_guard.check(path, f"Row {row}", given)
        return path


def joined_words(table: pa.Table, column: str) -> list[str | None]:
    """The words of each row joined by one blank; None where there is no list."""
    cells = table.column(column).to_pylist()
    return [None if cell is None else " ".join(cell_text(word) or "" for word in cell) for cell in cells]


def holds_words(table: pa.Table, column: str) -> bool:
    """Whether the cells of a column are lists of texts."""
    kind = table.schema.field(column).type
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return listed and (pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type))


def holds_tags(table: pa.Table, column: str) -> bool:
    """Whether the cells of a column are lists of texts or of whole numbers, as tags are."""
    kind = table.schema.field(column).type
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return holds_words(table, column) or (listed and pa.types.is_integer(kind.value_type))


class _Wrong(ValueError):
    """What is wrong with a cell, as a part of a sentence."""


def _tagged(words: Any, tags: Any, names: Sequence[str]) -> Spans:
    if words is None or len(words) != len(tags):
        raise _Wrong(f"{len(tags)} tags of {len(words or ())} words")
    found = [_tag(tag, names) for tag in tags]
    return Spans(spans_of_tags([cell_text(word) or "" for word in words], found)[1])


def _tag(tag: Any, names: Sequence[str]) -> str:
    """A tag as text. A bare name is one without a beginning, as in IO tags."""
    text = str(_name(tag, names)).strip()
    return text if text == "O" or text[1:2] == "-" else f"I-{text}"


def _name(value: Any, names: Sequence[str]) -> str:
    """A label's name, by its number where the table names them."""
    if isinstance(value, bool) or value is None:
        raise _Wrong("a label without a name")
    if isinstance(value, int | float):
        if not names:
            return str(label_text(value))
        if not 0 <= value < len(names):
            raise _Wrong(f"the number {value:g}, and {len(names)} names")
        return names[int(value)]
    if isinstance(value, str):
        return value
    raise TypeError


def _rows(cell: Any, *keys: str) -> Iterator[Mapping[str, Any]]:
    """The items of a list of structs, or of a struct of lists of one length, as `datasets` has them."""
    if isinstance(cell, Mapping):
        lists = {key: values for key, values in cell.items() if isinstance(values, list)}
        if not any(key in lists for key in keys):
            raise TypeError
        yield from (dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True))
        return
    if not isinstance(cell, list):
        raise TypeError
    yield from cell


def _spans(cell: Any, names: Sequence[str]) -> Iterator[Span]:
    for item in _rows(cell, *STARTS):
        if isinstance(item, list):
            start, end, label = item
        else:
            start, end, label = _of(item, STARTS), _of(item, ENDS), _of(item, NAMES)
        yield Span(_number(start), _number(end), _name(label, names))


def _boxes(cell: Any, names: Sequence[str]) -> Boxes:
    size = None
    if isinstance(cell, Mapping) and isinstance(cell.get("boxes"), list):
        given = cell.get("size")
        size = (int(given[0]), int(given[1])) if given else None
        cell = cell["boxes"]
    found = []
    for item in _rows(_singular(cell), "bbox", "xmin"):
        if item.get("bbox") is not None:
            left, top, width, height = map(_number, item["bbox"])
            ends = (left, top, left + width, top + height)
        else:
            ends = tuple(_number(item[end]) for end in ("xmin", "ymin", "xmax", "ymax"))
        found.append(Box(_name(_of(item, NAMES), names), *ends, ignored=bool(item.get("ignored"))))
    return Boxes(tuple(found), size)


def _singular(cell: Any) -> Any:
    """A struct of lists with its keys in the singular ("categories", "labels")."""
    if not isinstance(cell, Mapping):
        return cell
    words = {"categories": "category", "labels": "label", "bboxes": "bbox"}
    return {words.get(key, key): values for key, values in cell.items()}


def _region(item: Mapping[str, Any]) -> Region:
    polygons = tuple(tuple(map(float, polygon)) for polygon in item.get("polygons") or ())
    return Region(item["label"], polygons, tuple(map(int, item.get("runs") or ())))


def _of(item: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """The value of the first of these keys that is there."""
    for key in keys:
        if item.get(key) is not None:
            return item[key]
    raise _Wrong(f"no '{keys[0]}'")


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return int(value) if float(value).is_integer() else value


def _names(described: Any) -> Sequence[str]:
    """The names that `datasets` wrote down anywhere in the feature of a column."""
    if isinstance(described, Mapping):
        if isinstance(described.get("names"), list):
            return described["names"]
        return next((found for inner in described.values() if (found := _names(inner))), ())
    if isinstance(described, list):
        return next((found for inner in described if (found := _names(inner))), ())
    return ()
