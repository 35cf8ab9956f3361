"""The bounds of a table, checked by what its file says of itself before its cells are in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute

from graftwork.errors import DataError
from graftwork.specs.limits import how_to_raise, limits

_COMPUTE: Any = vars(pyarrow.compute)  # made at import, so that type checkers do not see them


def check_columns(path: Path, columns: int) -> None:
    """Raises `DataError` for more than `table_columns`."""
    most = limits().table_columns
    if columns > most:
        raise DataError(
            f"'{path}' has {columns:,} columns; at most {most:,} are read.", how_to_raise("table_columns", columns)
        )


def check_shape(path: Path, rows: int, columns: int) -> None:
    """Raises `DataError` for more than `table_columns`, `table_rows` or `table_cells`."""
    check_columns(path, columns)
    most = limits()
    if rows > most.table_rows:
        raise DataError(
            f"'{path}' has {rows:,} rows; at most {most.table_rows:,} are read at once.",
            f"Read it in a stream: graftwork.stream(...). {how_to_raise('table_rows', rows)}",
        )
    if rows * columns > most.table_cells:
        raise DataError(
            f"'{path}' has {rows:,} rows of {columns:,} columns; at most {most.table_cells:,} cells are read at once.",
            f"Read it in a stream: graftwork.stream(...). {how_to_raise('table_cells', rows * columns)}",
        )


def check_growth(path: Path, size: int, most: int) -> None:
    """Check what a packed file becomes in memory, in bytes. Raises `DataError` for more than `most`."""
    if size > most:
        raise DataError(
            f"'{path}' grows to {size:,} bytes or more in memory; at most {most:,} are accepted of a file of "
            f"{path.stat().st_size:,} bytes.",
            how_to_raise("packed_bytes", size),
        )


def decoded_size(chunk: Any) -> int:
    """Bytes of a dictionary array once each index is its value, and of those within lists and structs; of another array
    0, since views are not counted.
    """
    if not pa.types.is_dictionary(chunk.type):
        return sum(map(decoded_size, _within(chunk)))
    values, indices = chunk.dictionary, chunk.indices
    kind = values.type
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        values = values.cast(pa.large_binary() if pa.types.is_binary_view(kind) else pa.large_string())
    if _has_lengths(values.type):
        lengths = _COMPUTE["take"](_COMPUTE["binary_length"](values), indices)
        return 4 * len(indices) + (_COMPUTE["sum"](lengths).as_py() or 0)
    return len(indices) * max(1, values.nbytes // max(1, len(values)))


def _within(chunk: Any) -> list[Any]:
    """The arrays that an array of lists, structs or maps is made of."""
    if pa.types.is_struct(chunk.type):
        return chunk.flatten()
    if pa.types.is_map(chunk.type):
        return [chunk.keys, chunk.items]
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return [chunk.flatten()] if any(test(chunk.type) for test in lists) else []


def _has_lengths(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)
