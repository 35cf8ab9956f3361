"""Tables in memory: pandas and polars DataFrames, Arrow tables, lists of dicts."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from graftwork.data.formats.annotation_structs import are_annotations, as_array
from graftwork.data.formats.table_limits import decoded_size
from graftwork.errors import DataError
from graftwork.specs.limits import how_to_raise

KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    ((int, float), "a number"),
    (str, "text"),
    (bytes, "bytes"),
    (Mapping, "an object"),
    ((list, tuple), "a list"),
)


def as_table(source: Any) -> pa.Table | None:
    """The table that an object is: an Arrow table, a DataFrame of pandas or polars (or anything with the Arrow C stream
    interface), or a list of dicts; None for anything else. The index of a DataFrame is left out.

    Raises `DataError` for a column that is there twice, and for one that mixes types, naming the row.
    """
    if isinstance(source, pa.Table):
        return plain_types(source)
    if isinstance(source, pa.RecordBatch):
        return plain_types(pa.Table.from_batches([source]))
    if (pandas := sys.modules.get("pandas")) is not None and isinstance(source, pandas.DataFrame):
        return _from_pandas(source)
    if hasattr(source, "__arrow_c_stream__"):
        return plain_types(pa.table(source))
    if isinstance(source, list | tuple) and all(isinstance(row, Mapping) for row in source):
        return table_of_rows(source, "the list")
    return None


def table_of_rows(rows: Sequence[Mapping[Any, Any]], name: str, begin: int = 0) -> pa.Table:
    """Rows as dicts; a key that is not in all of them is missing in the others. name: of the source, in messages.

    Raises `DataError` that names the first row whose value is of another type than those before it.
    """
    names = dict.fromkeys(key for row in rows for key in row)
    return pa.table({str(key): _column([row.get(key) for row in rows], str(key), name, begin) for key in names})


def rows_of(source: Any) -> Callable[[], Iterator[pa.Table]] | None:
    """For a generator function, or an iterable of dicts that can be gone over again: a function that gives the rows
    from the start, some at a time; None for anything else.

    Raises `DataError` for an iterator, which can be gone over once.
    """
    if isinstance(source, Iterator):
        raise DataError(
            "A generator can be read once, and a stream is read from the start more than once; the function that makes "
            "it is accepted.",
            "Write graftwork.stream(make_rows), without the brackets.",
        )
    if not (inspect.isfunction(source) or inspect.ismethod(source) or _is_iterable(source)):
        return None
    return lambda: _pieces(source)


def sound(path: Path, table: pa.Table) -> pa.Table:
    """The table. Raises `DataError` for cells that are not what their column says, as texts that are no UTF-8."""
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"'{path}' is damaged: {reason}.", "Export it again.") from error
    return table


def plain_types(table: pa.Table, most: int | None = None) -> pa.Table:
    """The same cells: categories as their values, and text of every form that Arrow has as strings.

    most: bytes that a file's categories may become. Raises `DataError` for more.
    """
    for place, field in enumerate(table.schema):
        if (kind := _plain_type(field.type)) != field.type:
            given = table.column(place).chunks
            if most is not None and (size := sum(map(decoded_size, given))) > most:
                raise DataError(
                    f"The column '{field.name}' grows to {size:,} bytes where each category is its value; at most "
                    f"{most:,} are accepted of a file of this size.",
                    how_to_raise("packed_bytes", size),
                )
            chunks = [_plain_array(chunk, kind) for chunk in given]
            table = table.set_column(place, field.with_type(kind), pa.chunked_array(chunks, kind))
    return table


def kind_of(value: Any) -> str:
    """What a value is, as a noun."""
    return next((words for kind, words in KINDS if isinstance(value, kind)), type(value).__name__)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    types: Any = pa.types
    if types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if types.is_string_view(kind):
        return pa.large_string()
    if types.is_binary_view(kind):
        return pa.large_binary()
    if types.is_fixed_size_list(kind):
        return pa.list_(_plain_field(kind.value_field), kind.list_size)
    if types.is_list(kind) or types.is_large_list(kind):
        make: Any = pa.list_ if types.is_list(kind) else pa.large_list
        return make(_plain_field(kind.value_field))
    if types.is_struct(kind):
        return pa.struct([_plain_field(kind.field(place)) for place in range(kind.num_fields)])
    if types.is_map(kind):
        return pa.map_(_plain_field(kind.key_field), _plain_field(kind.item_field), kind.keys_sorted)
    return kind


def _plain_field(field: pa.Field) -> pa.Field:
    return field.with_type(_plain_type(field.type))


def _plain_array(chunk: Any, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_dictionary(chunk.type):
        return chunk.cast(kind)
    return pa.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(kind)).dictionary_decode()


def _is_iterable(source: Any) -> bool:
    return isinstance(source, Iterable) and not isinstance(source, str | bytes | os.PathLike | Mapping | list | tuple)


def _pieces(source: Any) -> Iterator[pa.Table]:
    from graftwork.data.formats.tables import PIECE

    given: Any = source() if callable(source) else source
    rows, begin, schema = iter(given), 0, pa.schema([])
    while part := list(islice(rows, PIECE)):
        if other := next((row for row in part if not isinstance(row, Mapping)), None):
            raise DataError(
                f"Row {begin + part.index(other) + 1} of the stream is {kind_of(other)}; dicts are accepted.",
                "Yield {'text': ..., 'label': ...}.",
            )
        table = table_of_rows(part, "the stream", begin)
        try:
            schema = pa.unify_schemas([schema, table.schema], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError(
                f"Rows {begin + 1} to {begin + len(part)} of the stream have other types than the rows before them: "
                f"{' '.join(str(error).split())[:100]}.",
                "Make all values of a column text, or all numbers.",
            ) from error
        for name in set(schema.names) - set(table.column_names):
            table = table.append_column(name, pa.nulls(len(table)))
        yield table
        begin += len(part)


def _from_pandas(frame: Any) -> pa.Table:
    names = [str(name) for name in frame.columns]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"The DataFrame has the column '{twice}' more than once.", "Rename or remove one of them.")
    columns = {}
    for place, name in enumerate(names):
        series = frame.iloc[:, place]
        if series.dtype == object:
            missing = series.isna().to_numpy()
            values = [None if no else value for value, no in zip(series.tolist(), missing, strict=True)]
            columns[name] = _column(values, name, "the DataFrame", 0)
        else:
            columns[name] = pa.Array.from_pandas(series)
    return plain_types(pa.table(columns))


def _column(values: list[Any], column: str, name: str, begin: int) -> pa.Array:
    if are_annotations(values):
        return as_array(values)
    values = [os.fspath(value) if isinstance(value, os.PathLike) else value for value in values]
    try:
        kinds = {bool if isinstance(value, bool) else 0 for value in values if value is not None}
        if len(kinds) > 1:
            raise pa.ArrowInvalid("mixed")
        return pa.array(values)
    except (
        pa.ArrowInvalid,
        pa.ArrowTypeError,
        pa.ArrowNotImplementedError,
        OverflowError,
        UnicodeEncodeError,
    ) as error:
        known = [(number, kind_of(value)) for number, value in enumerate(values, begin + 1) if value is not None]
        number, kind = next(((number, kind) for number, kind in known if kind != known[0][1]), known[0])
        where = (
            f", where row {known[0][0]} has {known[0][1]}; one kind a column is accepted"
            if number != known[0][0]
            else (f", which no table holds ({' '.join(str(error).split())[:100]})")
        )
        raise DataError(
            f"Row {number} of {name} has {kind} in '{column}'{where}.", "Make them all text, or all numbers."
        ) from error
