"""JSON files as Arrow tables: lines, one array, or one object with a list of rows in it. Strings stay as written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json as pj

from graftwork.data.dialect import block_size
from graftwork.errors import DataError


def read_json(path: Path) -> pa.Table:
    """Raises what pyarrow raises, and `DataError` for JSON that holds no rows."""
    if _is_one_value(path):
        return _from_value(path)
    options = pj.ReadOptions(block_size=block_size(path))
    table = pj.read_json(path, read_options=options)
    if as_written := _without_dates(table.schema):
        table = pj.read_json(path, read_options=options, parse_options=pj.ParseOptions(explicit_schema=as_written))
    return _checked(table)


def read_json_pieces(path: Path) -> Iterator[pa.Table]:
    """The rows of one file, some at a time; of one array or object all at once. Raises as `read_json` does."""
    if _is_one_value(path):
        yield _from_value(path)
        return
    options = pj.ReadOptions(block_size=block_size(path))
    parse = pj.ParseOptions()
    if as_written := _without_dates(pj.open_json(path, read_options=options).schema):
        parse = pj.ParseOptions(explicit_schema=as_written)
    for batch in pj.open_json(path, read_options=options, parse_options=parse):
        yield _checked(pa.Table.from_batches([batch]))


def _without_dates(schema: pa.Schema) -> pa.Schema | None:
    """Text for each column that pyarrow took for dates; None where there is none."""
    dated = [field.name for field in schema if pa.types.is_temporal(field.type)]
    return pa.schema([(name, pa.string()) for name in dated]) if dated else None


def _is_one_value(path: Path) -> bool:
    """Whether the file is one array, or one object over several lines, and not an object a line."""
    with path.open("rb") as file:
        head = file.read(65536).decode("utf-8-sig", errors="replace").lstrip()
    if head.startswith("["):
        return True
    first = head.partition("\n")[0].strip()
    if not first.startswith("{"):
        return False
    try:
        found = json.loads(first)
    except ValueError:  # a line that is cut by the block, or an object over several lines
        return not first.endswith("}") and "\n" in head
    return isinstance(found, dict) and "\n" not in head.strip() and _list_of_rows(found) is not None


def _from_value(path: Path) -> pa.Table:
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise DataError(f"'{path}' cannot be read as JSON: {error}.", "Mend or export it again.") from error
    rows = found if isinstance(found, list) else _list_of_rows(found)
    if rows is None or not all(isinstance(row, dict) for row in rows):
        raise DataError(
            f"'{path}' holds no list of objects; an object a line, an array of them, or one object with such an array "
            "is accepted.",
            "Export it as JSON lines.",
        )
    return pa.Table.from_pylist(rows)


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
    return table
