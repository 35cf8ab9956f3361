"""Table files: CSV, TSV, JSONL and Parquet, read whole or a few rows at a time.

Each becomes an Arrow table, the form that `datasets` itself keeps; nothing is decoded here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from graftwork.data.csv_tables import read_csv, read_csv_pieces
from graftwork.data.json_tables import read_json, read_json_pieces
from graftwork.errors import DataError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
PIECE = 256
"""Rows read at a time from a table that is not read whole."""


def read_table(path: Path) -> pa.Table:
    """Read one file; every CSV cell stays text as written ("NA" and "007" too).

    Raises `DataError` with the reader's reason for a file that is not in the format of its ending.
    """
    with _refusing(path):
        match path.suffix.lower():
            case ".csv" | ".tsv":
                return read_csv(path)
            case ".parquet":
                import pyarrow.parquet as pq

                return pq.read_table(path, memory_map=True)
            case _:
                return read_json(path)


def read_pieces(path: Path) -> Iterator[pa.Table]:
    """Yield the rows of one file, some at a time, as `read_table` reads them. Raises `DataError` as that does."""
    with _refusing(path):
        match path.suffix.lower():
            case ".csv" | ".tsv":
                yield from read_csv_pieces(path)
            case ".parquet":
                import pyarrow.parquet as pq

                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches(PIECE):
                        yield pa.Table.from_batches([batch]).replace_schema_metadata(file.schema_arrow.metadata)
            case _:
                yield from read_json_pieces(path)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn the errors of readers into `DataError`."""
    try:
        yield
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
