"""JSON files as Arrow tables: lines, one array, or one object with a list of rows in it. Strings stay as written."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.json as pj

from graftwork.data.formats.byte_scan import scan_lines
from graftwork.data.formats.frames import kind_of, table_of_rows
from graftwork.data.formats.metadata import with_notes
from graftwork.data.formats.plain_text import plain_text
from graftwork.data.formats.table_limits import check_columns, check_shape
from graftwork.errors import DataError
from graftwork.specs.json_text import is_deeper, parse_json, too_deep
from graftwork.specs.limits import limits

LEAST_BLOCK = 2**20
"""Bytes that pyarrow reads at a time where lines are short."""
_COMPUTE: Any = vars(pyarrow.compute)  # made at import, so that type checkers do not see them
EXACT = 2**53
"""Whole numbers up to here are held exactly beside fractions."""


def read_json(path: Path) -> pa.Table:
    """Raises what pyarrow raises, and `DataError` for JSON that holds no rows, or a line that is none."""
    with plain_text(path) as plain:
        if _is_one_value(plain):
            return _from_value(path, plain)
        options, lines = _block(path, plain)
        check_shape(path, lines, 1)
        with _naming_lines(path, plain):
            table = pj.read_json(plain, read_options=options)
            check_shape(path, len(table), table.num_columns)
            as_written = _without_dates(table.schema)
            if as_written != table.schema:
                table = pj.read_json(plain, read_options=options, parse_options=_typed(as_written))
        return _checked(table)


def read_json_pieces(path: Path) -> Iterator[pa.Table]:
    """The rows of one file, some at a time; of one array or object all at once. Raises as `read_json` does."""
    with plain_text(path) as plain:
        if _is_one_value(plain):
            yield _from_value(path, plain)
            return
        with _naming_lines(path, plain):
            options, _ = _block(path, plain)
            schema = _without_dates(_schema(plain))
            check_columns(path, len(schema))
            for batch in pj.open_json(plain, read_options=options, parse_options=_typed(schema)):
                yield _checked(pa.Table.from_batches([batch]))


def _block(path: Path, plain: Path) -> tuple[pj.ReadOptions, int]:
    """How pyarrow reads the file, and how many lines it has.

    Raises `DataError` for a line that is nested too deep: pyarrow calls itself at each level until the process ends.
    """
    most = limits().json_levels
    found = scan_lines(plain, most)
    if found.brackets > most:
        with plain.open("rb") as file:
            for number, line in enumerate(file, 1):
                if is_deeper(line, most):
                    raise DataError(f"'{path}', line {number}: {too_deep(most)}.", "Mend the line.")
    return pj.ReadOptions(block_size=min(max(LEAST_BLOCK, 2 * found.longest), 2**31 - 1)), found.lines


def _typed(schema: pa.Schema) -> pj.ParseOptions:
    return pj.ParseOptions(explicit_schema=schema)


def _schema(plain: Path) -> pa.Schema:
    """The columns of all lines; those of the first block need not be all, nor of the last type."""
    found: list[pa.Schema] = []
    with plain.open("rb") as file:
        while lines := file.readlines(LEAST_BLOCK):
            block = b"".join(lines)
            if block.strip():
                schema = _without_dates(pj.read_json(io.BytesIO(block), read_options=_whole(block)).schema)
                found = [pa.unify_schemas([*found, schema], promote_options="permissive")]
    return found[0] if found else pa.schema([])


def _whole(block: bytes) -> pj.ReadOptions:
    return pj.ReadOptions(block_size=max(LEAST_BLOCK, 2 * len(block)))


def _without_dates(schema: pa.Schema) -> pa.Schema:
    """Text where pyarrow took strings for dates, also in lists and objects."""
    return pa.schema([(field.name, _as_text(field.type)) for field in schema])


def _as_text(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_temporal(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_as_text(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _as_text(field.type)) for field in kind.fields])
    return kind


@contextmanager
def _naming_lines(path: Path, plain: Path) -> Iterator[None]:
    """Turn pyarrow's error for a line into a sentence that numbers it."""
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        if fault := _first_fault(plain):
            raise DataError(f"'{path}', line {fault}.", "Mend the line, or export the table again.") from error
        raise


def _first_fault(plain: Path) -> str:
    """The first line that is no object, or does not go with those before it: its number and what is wrong."""
    kinds: dict[str, tuple[str, int]] = {}
    with plain.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = parse_json(line.decode("utf-8-sig"), object_pairs_hook=_unique)
                json.dumps(row, ensure_ascii=False).encode()
            except UnicodeDecodeError:
                return ""
            except UnicodeEncodeError:
                return f"{number} holds half of a surrogate pair, which is no sign"
            except ValueError as error:
                words = line.strip()[:40].decode(errors="replace")
                reason = f"{error.msg} at sign {error.colno}" if isinstance(error, json.JSONDecodeError) else error
                return f"{number} is no JSON: '{words}' ({reason})"
            if not isinstance(row, dict):
                return f"{number} holds {kind_of(row)}; one object a line is accepted"
            for key, value in row.items():
                kind, first = kinds.setdefault(key, (kind_of(value), number)) if value is not None else ("", 0)
                if kind and kind != kind_of(value):
                    return (
                        f"{number} has {kind_of(value)} in '{key}', where line {first} has {kind}; one kind is accepted"
                    )
    return ""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has the key '{next(name for name in names if names.count(name) > 1)}' more than once")
    return row


def _is_one_value(plain: Path) -> bool:
    """Whether the file is one array, or one object over several lines, and not an object a line."""
    with plain.open("rb") as file:
        first = next((line.strip() for line in file if line.strip().removeprefix(codecs.BOM_UTF8)), b"")
        alone = not any(line.strip() for line in file)
    first = first.removeprefix(codecs.BOM_UTF8).lstrip()
    if not first.startswith(b"{"):
        return first.startswith(b"[")
    try:
        found = parse_json(first)
    except ValueError:  # an object over several lines, or a broken line
        return not first.endswith((b"}", b"},"))
    return isinstance(found, dict) and alone and (_list_of_rows(found) is not None or _is_by_column(found))


def _is_by_column(found: dict[str, Any]) -> bool:
    """Whether an object is a table as pandas writes it by default, or with orient="index" or "split"."""
    first, *others = found.values() if found else ([],)
    nested = (
        isinstance(first, dict)
        and bool(others)
        and all(isinstance(v, dict) and v.keys() == first.keys() for v in others)
    )
    return nested or {"columns", "data"} <= found.keys()


def _from_value(path: Path, plain: Path) -> pa.Table:
    try:
        found: Any = parse_json(plain.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique)
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        raise DataError(f"'{path}' cannot be read as JSON: {error}.", "Mend or export it again.") from error
    rows = found if isinstance(found, list) else _list_of_rows(found)
    if rows is None or not all(isinstance(row, dict) for row in rows):
        raise DataError(
            f"'{path}' holds no list of objects; an object a line, an array of them, or one object with such an array "
            "is accepted.",
            'Export it as JSON lines; in pandas: to_json(path, orient="records", lines=True)',
        )
    check_shape(path, len(rows), 1)
    table = table_of_rows(rows, f"'{path}'")
    check_columns(path, table.num_columns)
    return table


def _list_of_rows(found: Any) -> list[Any] | None:
    """The one value of an object that is a list of objects."""
    lists = [
        value
        for value in (found.values() if isinstance(found, dict) else ())
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value)
    ]
    return lists[0] if len(lists) == 1 else None


def _checked(table: pa.Table) -> pa.Table:
    table.validate(full=True)  # the reader itself accepts bytes that are not UTF-8
    rounded = [
        field.name
        for field in table.schema
        if pa.types.is_floating(field.type)
        and (most := _COMPUTE["max"](_COMPUTE["abs"](table.column(field.name))).as_py()) is not None
        and EXACT <= most < float("inf")
    ]
    return with_notes(
        table, *(f"Whole numbers above 2^53 in '{name}' lose digits; write them as text." for name in rounded)
    )
