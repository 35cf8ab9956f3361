"""Answers as a table: CSV, JSON lines or Parquet, written some rows at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from graftwork.errors import DataError, UsageError

SUFFIXES = (".csv", ".jsonl", ".parquet")
PREFIX = "predicted_"
"""Before the names of the columns that hold answers."""


class AnswerFile:
    """A table of inputs with their answers beside them."""

    def __init__(self, file: IO[bytes], suffix: str) -> None:
        self._file, self._suffix = file, suffix
        self._schema: pa.Schema | None = None
        self._writer: pc_csv.CSVWriter | pq.ParquetWriter | None = None
        self.rows = 0

    def write(self, rows: pa.Table | None, answers: Sequence[Mapping[str, Any]], flat: Callable[..., Any]) -> None:
        """Add rows: those of a table that was read, or None for the names of the inputs. flat: the columns of an
        answer.

        Raises `DataError` for rows with other columns than those before.
        """
        table = rows if rows is not None else pa.table({"input": [str(one["input"]) for one in answers]})
        said = [{**({} if "error" in one else flat(one)), "error": one.get("error")} for one in answers]
        names = dict.fromkeys(name for one in said for name in one)
        for name in sorted(names, key=lambda name: name == "error"):
            values = pa.array([one.get(name) for one in said])
            table = table.append_column(PREFIX + name, values)
        self._add(self._as_before(table.replace_schema_metadata(None)))
        self.rows += len(table)

    def _as_before(self, table: pa.Table) -> pa.Table:
        """The table with the columns and types of the first one."""
        if self._suffix == ".csv":
            table = _flat(table)
        schema = self._schema = self._schema or _schema(table)
        for name in schema.names:
            if name.startswith(PREFIX) and name not in table.column_names:
                table = table.append_column(name, pa.nulls(len(table), schema.field(name).type))
        if set(table.column_names) != set(schema.names):
            raise DataError(
                f"Rows with the columns {', '.join(table.column_names)} follow rows with {', '.join(schema.names)}; "
                "rows of one kind are accepted in one file.",
                "Predict for each table by itself.",
            )
        try:
            return table.select(schema.names).cast(schema)
        except pa.ArrowInvalid as error:
            raise DataError(
                f"A column changes its type between rows: {error}.", "Write: --out answers.jsonl"
            ) from error

    def _add(self, table: pa.Table) -> None:
        if self._suffix == ".jsonl":
            for row in table.to_pylist():
                line = json.dumps(row, ensure_ascii=False, default=_shown)
                self._file.write(line.encode("utf-8", "backslashreplace") + b"\n")
            return
        if self._writer is None:
            kind = pc_csv.CSVWriter if self._suffix == ".csv" else pq.ParquetWriter
            self._writer = kind(self._file, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


@contextmanager
def answer_file(path: Path) -> Iterator[AnswerFile]:
    """A file of answers that appears whole or not at all.

    Raises `UsageError` for another ending, for a file that is there, and for one that cannot be written.
    """
    check_out(path)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            made = AnswerFile(file, path.suffix.lower())
            yield made
            made.close()
        part.replace(path)
    except OSError as error:
        raise UsageError(f"'{path}' cannot be written: {error.strerror}.", "Name another: --out FILE") from error
    finally:
        part.unlink(missing_ok=True)


def check_out(path: Path) -> None:
    """Raises `UsageError` for a file that answers cannot be written to."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"--out '{path}' ends in '{path.suffix}'; {', '.join(SUFFIXES)} are accepted.", "Write: --out answers.csv"
        )
    if path.exists():
        raise UsageError(f"'{path}' is there already.", "Name another: --out FILE, or remove it.")


def _schema(table: pa.Table) -> pa.Schema:
    """The columns and types of a table; text for a column without any value in the first rows."""
    types = [pa.string() if pa.types.is_null(field.type) else field.type for field in table.schema]
    return pa.schema([pa.field(name, kind) for name, kind in zip(table.column_names, types, strict=True)])


def _flat(table: pa.Table) -> pa.Table:
    """The table with what no CSV cell holds as text: lists and structs as JSON, bytes by their number."""
    for place, field in enumerate(table.schema):
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            cells = [
                None if cell is None else json.dumps(cell, ensure_ascii=False, default=_shown)
                for cell in table.column(place).to_pylist()
            ]
            table = table.set_column(place, field.name, pa.array(cells, pa.string()))
        elif pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(field.type.value_type))
    return table


def _shown(value: Any) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) else str(value)
