"""Which column of a table holds the inputs and which the labels, told by their names."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from graftwork.data.annotation_cells import LABEL_NAMES as ANNOTATION_NAMES
from graftwork.data.annotation_cells import WORD_NAMES, holds_words
from graftwork.errors import DataError, UsageError

FILE_NAMES = (
    "file", "file_name", "filename", "filepath", "file_path", "path", "image", "img", "audio", "clip", "input",
)  # fmt: skip
INPUT_NAMES = (
    "text", "sentence", "message", "utterance", "review", "content", "body", "question", "query", "tweet",
    *FILE_NAMES,
)  # fmt: skip
LABEL_NAMES = (
    "label", "labels", "class", "category", "intent", "target", "topic", "sentiment", "emotion", "species", "y",
)  # fmt: skip
SPLIT_COLUMN = "split"


def no_plain_label(columns: Sequence[str], name: str) -> DataError:
    return DataError(
        f"'{name}' has the columns {listed(columns)}, and none of them is plainly the label.",
        "Name it: --label COLUMN",
    )


def plain_label(columns: Sequence[str], taken: str | None, kind: str = "") -> str | None:
    """The column whose name says that it holds the labels, of a kind that lies in the input or of names; of two columns
    the other than the input. None if there is none. taken: the input column that the user named.
    """
    names = ANNOTATION_NAMES.get(kind, LABEL_NAMES)
    lowered = {column.lower(): column for column in columns if column != taken}
    found = next((lowered[n] for n in names if n in lowered), None)
    others = [c for c in columns if c.lower() != SPLIT_COLUMN]
    if found is None and len(others) == 2:
        taken = taken or next((lowered[n] for n in INPUT_NAMES if n in lowered), None)
        found = next((c for c in others if taken is not None and c != taken), None)
    return found


def input_column(
    columns: Sequence[str], asked: str | None, labels: Sequence[str], name: str, names: Sequence[str] = INPUT_NAMES
) -> str:
    """The column of the inputs: the one asked for, or else the plain one of `names` that holds no labels.

    Raises `DataError` if none is plain, `UsageError` if the one asked for does not exist.
    """
    if asked is not None:
        return present(asked, columns, name, "--input")
    rest = [c for c in columns if c not in labels and c.lower() != SPLIT_COLUMN]
    lowered = {column.lower(): column for column in rest}
    named = [lowered[n] for n in names if n in lowered]
    if len(named) == 1 or (not named and len(rest) == 1):
        return (named or rest)[0]
    raise DataError(
        f"'{name}' has the columns {listed(columns)}, and none of them is plainly the input.",
        "Name it: --input COLUMN",
    )


def input_names(table: pa.Table, kind: str, tagged: bool) -> Sequence[str]:
    """The usual names of the input column, for labels of a kind. tagged: whether they are tags of words."""
    if tagged:
        return [name for name in WORD_NAMES if name in table.column_names and holds_words(table, name)] or INPUT_NAMES
    return FILE_NAMES if kind in ("transcript", "boxes", "mask") else INPUT_NAMES


def present(asked: str, columns: Sequence[str], name: str, option: str) -> str:
    """The column asked for. Raises `UsageError` if it does not exist. option: by which it was named."""
    if asked not in columns:
        raise UsageError(
            f"'{name}' has no column '{asked}'; its columns are {listed(columns)}.",
            f"Name one of them: {option} COLUMN",
        )
    return asked


def listed(columns: Sequence[str]) -> str:
    return ", ".join(f"'{column}'" for column in columns)
