"""Tables: CSV, TSV, JSONL, Parquet, and `datasets` from disk or hub; which column is the input and which the label.

Everything becomes an Arrow table, the form that `datasets` itself keeps; nothing is decoded here.
"""

from __future__ import annotations

import bisect
import csv
import io
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from graftwork.errors import DataError, UsageError
from graftwork.listing import SPLITS, Listing, by_extension, modality_of_files, readable
from graftwork.registry import modalities
from graftwork.specs import Modality
from graftwork.weights import hub_unreachable, offline

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
INPUT_NAMES = (
    "text", "sentence", "message", "utterance", "review", "content", "body", "question", "query", "tweet",
    "file", "file_name", "filename", "filepath", "file_path", "path", "image", "img", "audio", "clip", "input",
)  # fmt: skip
LABEL_NAMES = (
    "label", "labels", "class", "category", "intent", "target", "topic", "sentiment", "emotion", "species", "y",
)  # fmt: skip
SPLIT_COLUMN = "split"
TEXT_AS_BYTES = b"graftwork: text as bytes"
"""In the metadata of a table whose text is of an encoding that is not known."""


def read_table(path: Path) -> pa.Table:
    """Read one file; every CSV cell stays text as written ("NA" and "007" too).

    Raises `DataError` with the reader's reason for a file that is not what its ending says.
    """
    try:
        match path.suffix.lower():
            case ".csv" | ".tsv":
                return _read_csv(path)
            case ".parquet":
                import pyarrow.parquet as pq

                return pq.read_table(path, memory_map=True)
            case _:
                import pyarrow.json as pj

                table = pj.read_json(path)
                table.validate(full=True)  # the reader takes bytes that are no UTF-8 as they come
                return table
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError, OSError) as error:
        reason = " ".join(str(error).split())
        if "UTF8" in reason or "utf-8" in reason:
            raise DataError(
                f"'{path}' is not UTF-8 text, the encoding that {path.suffix[1:].upper()} is written in.",
                f"Convert it: iconv -f latin1 -t utf8 {path.name} > utf8-{path.name}",
            ) from error
        raise DataError(
            f"'{path}' cannot be read as {path.suffix[1:].upper()}: {reason[:200]}.", "Mend or export it again."
        ) from error


def _read_csv(path: Path) -> pa.Table:
    """Cells as text; as bytes where the file is not UTF-8, so that each of them is read, and counted, as what it is."""
    import pyarrow.csv as pc_csv

    source, start = _bytes_of(path)
    if not start.strip():
        raise DataError(f"'{path}' is empty.", "Give a table with a header line and one example a line.")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(start)
    names = next(csv.reader(io.StringIO(start), delimiter=delimiter))
    options = {"parse_options": pc_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)}

    def cells(kind: pa.DataType) -> pc_csv.ConvertOptions:
        return pc_csv.ConvertOptions(column_types=dict.fromkeys(names, kind))

    try:
        return pc_csv.read_csv(source(), convert_options=cells(pa.string()), **options)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        if "UTF8" not in str(error) and "utf-8" not in str(error):
            raise
        table = pc_csv.read_csv(source(), convert_options=cells(pa.binary()), **options)
        return table.replace_schema_metadata({TEXT_AS_BYTES: b""})


def _bytes_of(path: Path) -> tuple[Callable[[], Any], str]:
    """What pyarrow reads the file from, and its first text; UTF-16, which says so in its first bytes, is recoded."""
    with path.open("rb") as file:
        head = file.read(65536)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = path.read_bytes().decode("utf-16")
        return lambda: pa.py_buffer(text.encode()), text[:65536]
    return lambda: path, head.decode("utf-8-sig", errors="replace")


def _delimiter(start: str) -> str:
    header = start.splitlines()[0]
    return max(",;\t|", key=header.count)


def read_datasets(source: str, *, hub: bool) -> dict[str, pa.Table]:
    """The splits of a `datasets` folder saved to disk, or of a set on the hub, undecoded, each as an Arrow table.

    Raises `DataError` when it is neither, or when the hub cannot be reached.
    """
    if hub:
        reason = "--offline forbids fetching it" if offline() else hub_unreachable()
        if reason:
            raise DataError(
                f"The data set '{source}' is on the hub, which cannot be reached ({reason}).", "Save it to disk first."
            )
    import datasets

    try:
        loaded = datasets.load_dataset(source) if hub else datasets.load_from_disk(source)
    except Exception as error:  # the library raises its own and its transport's families
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"'{source}' cannot be loaded as a data set: {reason[:200]}.", "See: graftwork fit --help"
        ) from error
    parts = loaded if isinstance(loaded, datasets.DatasetDict) else {"": loaded}
    return {str(name): part.with_format("arrow")[:] for name, part in parts.items()}


def list_tables(
    tables: dict[str, pa.Table],
    name: str,
    base: Path,
    input_column: str | None,
    label_column: str | None,
    labelled: bool | None,
) -> Listing:
    """Choose the columns of one or more tables of like columns (keyed by split, "" for none) and list their rows.

    Raises `DataError` for a table without rows, or one whose columns are not plain and were not named.
    """
    notes = []
    known = {split: table for split, table in tables.items() if split == "" or split.lower() in SPLITS}
    if tables and not known:
        raise DataError(
            f"'{name}' brings the splits {_listed(list(tables))}; accepted: {', '.join(SPLITS)}.", "Rename its splits."
        )
    for split in tables.keys() - known.keys():
        notes.append(
            f"The split '{split}' ({len(tables[split])} rows) is left out; train, validation and test are used."
        )
    tables = known
    if not any(len(table) for table in tables.values()):
        raise DataError(f"'{name}' has no rows.", "Give a table with a header line and one example a line.")
    columns = next(iter(tables.values())).column_names
    if twice := sorted({column for column in columns if columns.count(column) > 1}):
        raise DataError(f"'{name}' has the column '{twice[0]}' more than once.", "Rename or remove one of them.")
    label = _label(columns, label_column, input_column, name) if labelled or label_column else None
    if labelled is None and label is None:
        label = _plain_label(columns, input_column)
    chosen = _input(columns, input_column, label, name)
    first = next(iter(tables.values()))
    place = f"column '{chosen}'"
    modality = _modality(first, chosen, place)
    inputs: Sequence[Any] = Column([table.column(chosen) for table in tables.values()])
    if _is_bytes(first) and not modality.inline:
        inputs = [_text(cell) for cell in inputs]
    labels: list[str | None] = []
    splits: list[str] = []
    for split, table in tables.items():
        if label is not None:
            labels += _label_words(table, label)
        if split:
            splits += [SPLITS[split.lower()]] * len(table)
        elif SPLIT_COLUMN in columns and SPLIT_COLUMN not in (chosen, label):
            splits += _split_words(table, name)
    known_labels = labels if label is not None else None
    return Listing(name, place, modality, inputs, known_labels, splits or None, base, tuple(sorted(notes)), rows=True)


class Column(Sequence[Any]):
    """The cells of a column, of one or more tables in turn, each made a Python object when it is asked for."""

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


def _label(columns: Sequence[str], asked: str | None, input_column: str | None, name: str) -> str:
    if asked is not None:
        return _present(asked, columns, name, "--label")
    found = _plain_label(columns, input_column)
    if found is None:
        raise DataError(
            f"'{name}' has the columns {_listed(columns)}, and none of them is plainly the label.",
            "Name it: --label COLUMN",
        )
    return found


def _plain_label(columns: Sequence[str], input_column: str | None) -> str | None:
    lowered = {column.lower(): column for column in columns}
    found = next((lowered[n] for n in LABEL_NAMES if n in lowered), None)
    others = [c for c in columns if c.lower() != SPLIT_COLUMN]
    if found is None and len(others) == 2:
        taken = input_column or next((lowered[n] for n in INPUT_NAMES if n in lowered), None)
        found = next((c for c in others if taken is not None and c != taken), None)
    return found


def _input(columns: Sequence[str], asked: str | None, label: str | None, name: str) -> str:
    if asked is not None:
        return _present(asked, columns, name, "--input")
    rest = [c for c in columns if c != label and c.lower() != SPLIT_COLUMN]
    lowered = {column.lower(): column for column in rest}
    named = [lowered[n] for n in INPUT_NAMES if n in lowered]
    if len(named) == 1 or (not named and len(rest) == 1):
        return (named or rest)[0]
    raise DataError(
        f"'{name}' has the columns {_listed(columns)}, and none of them is plainly the input.",
        "Name it: --input COLUMN",
    )


def _present(asked: str, columns: Sequence[str], name: str, option: str) -> str:
    if asked not in columns:
        raise UsageError(
            f"'{name}' has no column '{asked}'; its columns are {_listed(columns)}.",
            f"Name one of them: {option} COLUMN",
        )
    return asked


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(f"'{column}'" for column in columns)


def _modality(table: pa.Table, column: str, place: str) -> Modality:
    feature = _feature(table, column).get("_type", "")
    for modality in modalities():
        if feature in modality.features:
            return modality
    kind = table.schema.field(column).type
    if pa.types.is_struct(kind):
        paths = [
            value["path"] or "" for value in table.column(column).slice(0, 100).to_pylist() if value and "path" in value
        ]
        return modality_of_files(paths, place)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_bytes(table)):
        raise DataError(f"The {place} holds {kind}; text or file paths are accepted.", "Name another: --input COLUMN")
    known = by_extension()
    cells = map(_text, table.column(column).slice(0, 200).to_pylist())
    sample = [value.strip() for value in cells if value and value.strip()]
    paths = [
        value for value in sample if "\n" not in value and _suffix(value) in known and not known[_suffix(value)].inline
    ]
    if len(paths) > len(sample) / 2:
        return modality_of_files(paths, place)
    inline = next((m for m in modalities() if m.inline), None)
    if inline is None:
        raise DataError(f"No installed plugin reads the text in {place}.", "Install one: pip install graftwork-text")
    return inline


def _is_bytes(table: pa.Table) -> bool:
    return TEXT_AS_BYTES in (table.schema.metadata or {})


def _suffix(value: str) -> str:
    return Path(value).suffix.lower()


def _feature(table: pa.Table, column: str) -> dict[str, Any]:
    metadata = (table.schema.metadata or {}).get(b"huggingface")
    described = json.loads(metadata).get("info", {}).get("features", {}) if metadata else {}
    return described.get(column, {}) if isinstance(described.get(column), dict) else {}


def _text(cell: Any) -> str | None:
    return None if cell is None else readable(cell if isinstance(cell, bytes) else str(cell))


def _label_words(table: pa.Table, column: str) -> list[str | None]:
    names = _feature(table, column).get("names")
    values = table.column(column)
    if names:
        return [None if v is None or v < 0 else names[v] for v in values.to_pylist()]
    if pa.types.is_nested(values.type):
        raise DataError(
            f"The label column '{column}' holds {values.type}; one label per example is accepted.",
            "Name another: --label COLUMN",
        )
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    # One object for each label, however many rows have it.
    found: list[str | None] = []
    for chunk in values.chunks:
        words = [_text(value) for value in chunk.dictionary.to_pylist()]
        words = [word if word and word.strip() else None for word in words]
        found += [None if index is None else words[index] for index in chunk.indices.to_pylist()]
    return found


def _split_words(table: pa.Table, name: str) -> list[str]:
    words = [str(_text(value)).strip().lower() for value in table.column(SPLIT_COLUMN).to_pylist()]
    unknown = sorted(set(words) - set(SPLITS))
    if unknown:
        raise DataError(
            f"'{name}' has '{unknown[0]}' in its column '{SPLIT_COLUMN}'; accepted: {', '.join(SPLITS)}.",
            "Rename it, or the column.",
        )
    return [SPLITS[word] for word in words]
