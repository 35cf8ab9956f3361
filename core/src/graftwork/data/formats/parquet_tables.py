"""Parquet files as Arrow tables, their size checked first: a constant column of any length takes a few bytes there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from graftwork.data.formats.frames import plain_types, sound
from graftwork.data.formats.parquet_pages import Chunk, row_groups
from graftwork.data.formats.table_limits import check_columns, check_growth, check_shape
from graftwork.specs.limits import limits, packed_limit

AT_ONCE = 2**16
"""Rows at most that are read before their bytes are counted."""


def read_parquet(path: Path) -> pa.Table:
    """Raises what pyarrow raises, and `DataError` for a table that is too large."""
    with pq.ParquetFile(path, memory_map=True) as file, row_groups(path) as found:
        check_shape(path, file.metadata.num_rows, file.metadata.num_columns)
        groups, most = list(found), packed_limit(path.stat().st_size)
    chunks = [chunk for group in groups for chunk in group]
    check_growth(path, sum(chunk.least for chunk in chunks), most)
    with pq.ParquetFile(path, memory_map=True, read_dictionary=_kept(chunks, most)) as file:
        whole = sum(chunk.most for chunk in chunks) <= most
        table = file.read() if whole else _counted(path, file, max(map(_row, groups)), most)
    return plain_types(sound(path, table), most)


def read_parquet_pieces(path: Path, rows: int) -> Iterator[pa.Table]:
    """Yield the rows of one file, at most `rows` at a time. Raises as `read_parquet` does, but for any length."""
    most = packed_limit(path.stat().st_size)
    with pq.ParquetFile(path) as file, row_groups(path) as groups:
        check_columns(path, file.metadata.num_columns)
        for place, chunks in enumerate(groups):
            row, kept = _row(chunks), _kept(chunks, most)
            check_growth(path, row + sum(chunk.least for chunk in chunks if chunk.nested), most)
            group = pq.ParquetFile(path, read_dictionary=kept) if kept else file
            for batch in group.iter_batches(max(1, min(rows, most // max(1, row))), row_groups=[place]):
                table = pa.Table.from_batches([batch]).replace_schema_metadata(file.schema_arrow.metadata)
                yield plain_types(sound(path, table), most)


def _row(chunks: Iterable[Chunk]) -> int:
    """Bytes of one row at most that stand in dictionaries, but for those within lists."""
    return sum(chunk.dictionary for chunk in chunks if not (chunk.width or chunk.nested))


def _kept(chunks: Iterable[Chunk], most: int) -> list[str]:
    """Columns of lists whose dictionaries are kept until it is known what they grow to: a row may hold all of it."""
    return sorted({chunk.path for chunk in chunks if chunk.nested and chunk.most > most})


def _counted(path: Path, file: Any, row: int, most: int) -> pa.Table:
    """The table, whose bytes are counted so few rows at a time that they fit in any case: dictionaries hold texts that
    may stand in any number of rows. row: bytes of one at most."""
    batches, grown = [], 0
    for batch in file.iter_batches(max(1, min(AT_ONCE, limits().packed_bytes // max(1, row)))):
        grown += batch.nbytes
        check_growth(path, grown, most)
        batches.append(batch)
    return pa.Table.from_batches(batches).replace_schema_metadata(file.schema_arrow.metadata)
