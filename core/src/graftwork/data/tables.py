"""Table files: CSV, TSV, JSONL and Parquet, read whole or a few rows at a time.

Each becomes an Arrow table, the form that `datasets` itself keeps; nothing is decoded here.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from graftwork.data.columns import TEXT_AS_BYTES
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
                return _read_csv(path)
            case ".parquet":
                import pyarrow.parquet as pq

                return pq.read_table(path, memory_map=True)
            case _:
                import pyarrow.json as pj

                return _checked(pj.read_json(path))


def read_pieces(path: Path) -> Iterator[pa.Table]:
    """Yield the rows of one file, some at a time, as `read_table` reads them. Raises `DataError` as that does."""
    with _refusing(path):
        match path.suffix.lower():
            case ".csv" | ".tsv":
                yield from _read_csv_pieces(path)
            case ".parquet":
                import pyarrow.parquet as pq

                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches(PIECE):
                        yield pa.Table.from_batches([batch]).replace_schema_metadata(file.schema_arrow.metadata)
            case _:
                import pyarrow.json as pj

                for batch in pj.open_json(path):
                    yield _checked(pa.Table.from_batches([batch]))


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


def _checked(table: pa.Table) -> pa.Table:
    table.validate(full=True)  # the reader itself accepts bytes that are not UTF-8
    return table


def _read_csv(path: Path) -> pa.Table:
    """Cells as text, or as bytes if the file is not UTF-8, so that each cell can be read, and counted, in its own
    encoding.
    """
    import pyarrow.csv as pc_csv

    source, options = _csv(path)
    try:
        return pc_csv.read_csv(source(), **options(pa.string()))
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        if "UTF8" not in str(error) and "utf-8" not in str(error):
            raise
        table = pc_csv.read_csv(source(), **options(pa.binary()))
        return table.replace_schema_metadata({TEXT_AS_BYTES: b""})


def _read_csv_pieces(path: Path) -> Iterator[pa.Table]:
    import pyarrow.csv as pc_csv

    source, options = _csv(path)
    plain = _is_utf8(source())
    for batch in pc_csv.open_csv(source(), **options(pa.string() if plain else pa.binary())):
        table = pa.Table.from_batches([batch])
        yield table if plain else table.replace_schema_metadata({TEXT_AS_BYTES: b""})


def _csv(path: Path) -> tuple[Callable[[], Any], Callable[[pa.DataType], dict[str, Any]]]:
    """A source for pyarrow to read a file from, and its options for cells of a type."""
    import pyarrow.csv as pc_csv

    source, start = _bytes_of(path)
    if not start.strip():
        raise DataError(f"'{path}' is empty.", "Give a table with a header line and one example a line.")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(start)
    names = next(csv.reader(io.StringIO(start), delimiter=delimiter))
    return source, lambda cells: {
        "parse_options": pc_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        "convert_options": pc_csv.ConvertOptions(column_types=dict.fromkeys(names, cells)),
    }


def _bytes_of(path: Path) -> tuple[Callable[[], Any], str]:
    """A source for pyarrow to read the file from, and its first text; UTF-16 with a byte order mark is recoded."""
    with path.open("rb") as file:
        head = file.read(65536)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = path.read_bytes().decode("utf-16")
        return lambda: pa.py_buffer(text.encode()), text[:65536]
    return lambda: path, head.decode("utf-8-sig", errors="replace")


def _is_utf8(source: Any) -> bool:
    if not isinstance(source, Path):
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with source.open("rb") as file:
            while block := file.read(2**20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _delimiter(start: str) -> str:
    header = start.splitlines()[0]
    return max(",;\t|", key=header.count)
