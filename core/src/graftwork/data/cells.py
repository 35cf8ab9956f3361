"""The cells of a table's columns: inputs on demand, labels, splits, and where files that cells name lie."""

from __future__ import annotations

import bisect
import itertools
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from graftwork.data.labels import label_text, readable
from graftwork.errors import DataError
from graftwork.specs.splits import SPLITS
from graftwork.specs.task import RawLabel


class Column(Sequence[Any]):
    """The cells of a column, over one or more tables in turn; each becomes a Python object when it is read."""

    def __init__(self, parts: Sequence[pa.ChunkedArray]) -> None:
        self._chunks = [chunk for part in parts for chunk in part.chunks]
        self._starts = [0, *itertools.accumulate(len(chunk) for chunk in self._chunks)]

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        part = bisect.bisect_right(self._starts, index) - 1
        return self._chunks[part][index - self._starts[part]].as_py()


def labels_of(table: pa.Table, columns: Sequence[str]) -> list[RawLabel | None]:
    """The label of each row, None if it has none: a cell of one label column, or the cells of several by column
    name.
    """
    if len(columns) == 1:
        return _label_cells(table, columns[0])
    cells = [_label_cells(table, column) for column in columns]
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True))
    return [None if None in row.values() else row for row in rows]  # pyright: ignore[reportReturnType]


def _label_cells(table: pa.Table, column: str) -> list[RawLabel | None]:
    names = feature(table, column).get("names")
    values = table.column(column)
    if names:
        return [None if v is None or v < 0 else names[v] for v in values.to_pylist()]
    if pa.types.is_list(values.type) and not pa.types.is_nested(values.type.value_type):
        inner = feature(table, column).get("feature")
        known = inner.get("names") if isinstance(inner, dict) else None
        return [
            None if cell is None or None in cell else tuple(known[v] if known else str(label_text(v)) for v in cell)
            for cell in values.to_pylist()
        ]
    if pa.types.is_nested(values.type):
        raise DataError(
            f"The label column '{column}' holds {values.type}; one label per example is accepted.",
            "Name another: --label COLUMN",
        )
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    # One object per distinct label saves memory.
    found: list[RawLabel | None] = []
    for chunk in values.chunks:
        words = [label_text(value) for value in chunk.dictionary.to_pylist()]
        found += [None if index is None else words[index] for index in chunk.indices.to_pylist()]
    return found


def split_words(table: pa.Table, column: str, name: str) -> list[str]:
    """The split of each row, "train", "validation" or "test". Raises `DataError` for any other word."""
    words = [str(cell_text(value)).strip().lower() for value in table.column(column).to_pylist()]
    unknown = sorted(set(words) - set(SPLITS))
    if unknown:
        raise DataError(
            f"'{name}' has '{unknown[0]}' in its column '{column}'; accepted: {', '.join(SPLITS)}.",
            "Rename it, or the column.",
        )
    return [SPLITS[word] for word in words]


def folder_of(names: Sequence[Any], base: Path, split: str) -> str:
    """The one folder in `base` that holds the first files named, where `base` itself holds none of them; of several the
    one of the split; else empty."""
    first = [name for name in itertools.islice(names, 20) if isinstance(name, str) and name]
    if not first or not base.is_dir() or any(map(_exists, (base / name for name in first))):
        return ""
    folders = [path for path in base.iterdir() if path.is_dir()]
    found = [path.name for path in folders if all(map(_exists, (path / name for name in first)))]
    if len(found) > 1 and split:
        found = [name for name in found if SPLITS.get(name.lower()) == split.lower()]
    return found[0] if len(found) == 1 else ""


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110  pathlib's raises for a very long one


def placed_names(names: Sequence[Any], places: Sequence[str], counts: Sequence[int]) -> list[Any]:
    """The file names of several tables, each below the folder of its table."""
    folders = itertools.chain.from_iterable(map(itertools.repeat, places, counts))
    return [
        f"{place}/{name}" if place and isinstance(name, str) else name
        for place, name in zip(folders, names, strict=True)
    ]


def feature(table: pa.Table, column: str) -> dict[str, Any]:
    """What `datasets` wrote down of a column: its feature, as JSON values; empty if there is nothing."""
    metadata = (table.schema.metadata or {}).get(b"huggingface")
    described = json.loads(metadata).get("info", {}).get("features", {}) if metadata else {}
    return described.get(column, {}) if isinstance(described.get(column), dict) else {}


def cell_text(cell: Any) -> str | None:
    """A cell as text, None for a missing value."""
    missing = cell is None or (isinstance(cell, float) and math.isnan(cell))
    return None if missing else readable(cell if isinstance(cell, bytes) else str(cell))
