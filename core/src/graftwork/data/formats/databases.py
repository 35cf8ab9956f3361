"""SQLite files as Arrow tables: opened for reading alone, values as they are stored."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pyarrow as pa

from graftwork.data.formats.table_limits import check_growth, check_shape
from graftwork.errors import DataError
from graftwork.specs.limits import how_to_raise, limits, packed_limit

ENDINGS = (".db", ".sqlite", ".sqlite3")
ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
"""What a query may do."""
LARGE = 2**26
"""Bytes of rows that are held beside the table that they become."""
TYPES = {"integer": pa.int64(), "real": pa.float64(), "text": pa.string(), "blob": pa.binary()}
"""The type of a column by that of all its values; a column of numbers and texts is text."""


def read_database(path: Path, part: str = "") -> pa.Table:
    """The rows of the only table, of the one that `table=NAME` names, or of `query=SELECT ...`.

    Raises `DataError` for a file that is none, for a table that is not there or was not named, and for a query that
    fails or does more than read.
    """
    pieces: list[pa.Table] = []
    rows = size = 0
    most = packed_limit(path.stat().st_size)
    for piece in read_database_pieces(path, part, 2**12, limits().table_rows + 1):
        rows, size = rows + len(piece), size + piece.nbytes
        check_shape(path, rows, piece.num_columns)
        check_growth(path, size, most)
        pieces.append(piece)
    return pa.concat_tables(pieces)


def read_database_pieces(path: Path, part: str, size: int, most: int = -1) -> Iterator[pa.Table]:
    """The rows, `size` at a time or fewer where they are large, at least one table. most: rows that are read, since a
    view may have no end; -1 for all. Raises as `read_database` does.
    """
    with _opened(path) as database:
        query = _query(path, part, database)
        query = f"SELECT * FROM ({query}\n) LIMIT {most}" if most >= 0 else query
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(packed_limit(path.stat().st_size), 10**9))
        database.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in ALLOWED else sqlite3.SQLITE_DENY)
        with _in_time(path, part, database):
            schema = _schema(path, database, query)
        rows = database.execute(query)
        part_of = _some(rows, size)
        while True:
            columns = zip(*part_of, strict=True) if part_of else ((),) * len(schema)
            yield pa.table([_array(cells, field.type) for cells, field in zip(columns, schema, strict=True)], schema)
            part_of = _some(rows, size)
            if not part_of:
                return


@contextmanager
def _in_time(path: Path, part: str, database: sqlite3.Connection) -> Iterator[None]:
    """Raises `DataError` where a view takes more than `view_seconds` to go over: it may have no end. A query that the
    user wrote may take its time."""
    most = limits().view_seconds
    end = monotonic() + most
    if not part.startswith("query="):
        database.set_progress_handler(lambda: monotonic() > end, 1000)
    try:
        yield
    except sqlite3.OperationalError as error:
        if monotonic() <= end or "interrupted" not in str(error):
            raise
        raise DataError(
            f"'{path}' holds a view that is not at its end after {most} s.", how_to_raise("view_seconds", 10 * most)
        ) from error
    finally:
        database.set_progress_handler(None, 0)


def _some(rows: sqlite3.Cursor, size: int) -> list[tuple[Any, ...]]:
    """The next rows: `size` of them, or fewer that hold `LARGE` bytes."""
    found: list[tuple[Any, ...]] = []
    held = 0
    for row in rows:
        found.append(row)
        held += sum(len(cell) for cell in row if isinstance(cell, str | bytes))
        if len(found) == size or held > LARGE:
            break
    return found


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            yield database
    except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"'{path}' cannot be read as an SQLite database: {reason}.",
            f"One statement that reads is accepted: '{path.name}?query=SELECT ...'",
        ) from error


def _query(path: Path, part: str, database: sqlite3.Connection) -> str:
    listed = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    names = [name for (name,) in database.execute(f"{listed} ORDER BY rowid")]
    key, _, value = part.partition("=")
    if key == "query" and value.strip():
        return value.strip().rstrip(";")
    if not part and len(names) == 1:
        value = names[0]
    elif key != "table" or value not in names:
        known = f"its tables are {', '.join(names)}" if names else "it has no tables"
        what = f"has no part '{part}'" if part else "holds several tables" if names else "is empty"
        raise DataError(f"'{path}' {what}; {known}.", f"Name one: '{path.name}?table={names[0] if names else 'NAME'}'")
    return f"SELECT * FROM {_quoted(value)}"


def _schema(path: Path, database: sqlite3.Connection, query: str) -> pa.Schema:
    """The columns, each typed by all its values."""
    described = database.execute(f"SELECT * FROM ({query}\n) LIMIT 0").description
    names = [column[0] for column in described]
    seen: list[set[str]] = [set() for _ in names]
    kinds = ", ".join(f"typeof({_quoted(name)})" for name in names)
    for row in database.execute(f"SELECT DISTINCT {kinds} FROM ({query}\n)"):
        for kinds_of_column, kind in zip(seen, row, strict=True):
            kinds_of_column.add(kind)
    return pa.schema([(name, _type(path, name, kinds - {"null"})) for name, kinds in zip(names, seen, strict=True)])


def _type(path: Path, name: str, kinds: set[str]) -> pa.DataType:
    if len(kinds) < 2:
        return TYPES[next(iter(kinds), "text")]
    if "blob" in kinds:
        raise DataError(
            f"The column '{name}' of '{path}' holds bytes in some rows and {' and '.join(sorted(kinds - {'blob'}))} in "
            "others; one kind is accepted.",
            f"Cast it: '{path.name}?query=SELECT CAST({name} AS TEXT) AS {name}, ...'",
        )
    return pa.string()


def _array(cells: tuple[Any, ...], kind: pa.DataType) -> pa.Array:
    if kind == pa.string():
        return pa.array([None if cell is None else str(cell) for cell in cells], kind)
    return pa.array(cells, kind)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
