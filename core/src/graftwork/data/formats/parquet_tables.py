"""Parquet files as Arrow tables, their size checked first: a constant column of any length takes a few bytes there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from graftwork.data.formats.frames import plain_types, sound
from graftwork.data.formats.table_limits import check_columns, check_growth, check_shape
from graftwork.specs.limits import limits, packed_limit

WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}
"""Bytes of a value in memory, by physical type."""
OFFSET = 4
"""Bytes that point to a text, beside its own."""
HEADER = 64
"""Bytes that hold the first two fields of a page's header."""


class _Size(NamedTuple):
    """least: bytes that the file becomes in memory at least. most: the same at most. row: bytes of the values of one
    row at most that stand in dictionaries."""

    least: int
    most: int
    row: int


def read_parquet(path: Path) -> pa.Table:
    """Raises what pyarrow raises, and `DataError` for a table that is too large."""
    with pq.ParquetFile(path, memory_map=True) as file:
        about = file.metadata
        check_shape(path, about.num_rows, about.num_columns)
        size, most = _size(path, about), packed_limit(path.stat().st_size)
        check_growth(path, size.least, most)
        return plain_types(sound(path, file.read() if size.most <= most else _counted(path, file, size, most)), most)


def read_parquet_pieces(path: Path, rows: int) -> Iterator[pa.Table]:
    """Yield the rows of one file, at most `rows` at a time. Raises as `read_parquet` does, but for any length."""
    with pq.ParquetFile(path) as file:
        check_columns(path, file.metadata.num_columns)
        size, most = _size(path, file.metadata), packed_limit(path.stat().st_size)
        check_growth(path, size.row, most)
        for batch in file.iter_batches(max(1, min(rows, most // max(1, size.row)))):
            table = pa.Table.from_batches([batch]).replace_schema_metadata(file.schema_arrow.metadata)
            yield plain_types(sound(path, table), most)


def _size(path: Path, about: Any) -> _Size:
    """By the footer, and by the headers of dictionaries."""
    least = most = row = 0
    with path.open("rb") as file:
        for number in range(about.num_row_groups):
            group, here = about.row_group(number), 0
            for place in range(group.num_columns):
                chunk = group.column(place)
                width = WIDTHS.get(chunk.physical_type)
                if width is None:
                    least += OFFSET * chunk.num_values + chunk.total_uncompressed_size
                    most += OFFSET * chunk.num_values + chunk.total_uncompressed_size
                    if chunk.has_dictionary_page:
                        held = _dictionary_bytes(file, chunk)
                        most, here = most + held * chunk.num_values, here + held
                else:
                    least, most = least + width * chunk.num_values, most + width * chunk.num_values
            row = max(row, here)
    return _Size(least, most, row)


def _counted(path: Path, file: Any, size: _Size, most: int) -> pa.Table:
    """The table, whose bytes are counted so few rows at a time that they fit in any case: dictionaries hold texts that
    may stand in any number of rows."""
    check_growth(path, size.row, most)
    batches, grown = [], 0
    for batch in file.iter_batches(max(1, min(2**16, limits().packed_bytes // max(1, size.row)))):
        grown += batch.nbytes
        check_growth(path, grown, most)
        batches.append(batch)
    return pa.Table.from_batches(batches, file.schema_arrow)


def _dictionary_bytes(file: Any, chunk: Any) -> int:
    """Bytes of a dictionary before it is packed, by the header of its page.

    The header is a Thrift struct in the compact protocol whose fields 1 and 2 are the page's type and size
    (parquet.thrift, PageHeader), each a byte 0x15 and a zigzag number.
    """
    start = chunk.dictionary_page_offset
    if start is None:  # some writers leave it out
        start = chunk.data_page_offset
    file.seek(start)
    head = iter(file.read(HEADER))
    sizes = [_number(head) if next(head, 0) == 0x15 else -1 for _ in range(2)]
    return sizes[1] if min(sizes) >= 0 else chunk.total_uncompressed_size


def _number(head: Iterator[int]) -> int:
    """A zigzag number of 7 bits a byte, the lowest first."""
    number = shift = 0
    for byte in head:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return number >> 1
