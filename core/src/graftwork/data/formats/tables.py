"""Table files, read whole or a few rows at a time.

Each becomes an Arrow table, the form that `datasets` itself keeps; nothing is decoded here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from graftwork.data.formats.arrow_files import read_arrow, read_arrow_pieces
from graftwork.data.formats.csv_tables import read_csv, read_csv_pieces
from graftwork.data.formats.databases import ENDINGS as DATABASES
from graftwork.data.formats.databases import read_database, read_database_pieces
from graftwork.data.formats.json_tables import read_json, read_json_pieces
from graftwork.data.formats.plain_text import COMPRESSED
from graftwork.data.formats.spreadsheets import ENDINGS as SPREADSHEETS
from graftwork.data.formats.spreadsheets import read_spreadsheet
from graftwork.errors import DataError, GraftworkError
from graftwork.plugins.owners import is_of_library

CSV, JSON, ARROW = (".csv", ".tsv"), (".jsonl", ".ndjson", ".json"), (".arrow", ".feather")
SUFFIXES = (*CSV, *JSON, ".parquet", *ARROW, *SPREADSHEETS, *DATABASES)
KNOWN = (pa.ArrowException, UnicodeDecodeError, OSError)
"""What readers raise over a file that is not what its ending says."""
PIECE = 256
"""Rows read at a time from a table that is not read whole."""


def ending(path: Path) -> str:
    """The ending by which a file is a table, `.csv` or `.csv.gz`; empty if it is none."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes and suffixes[-1] in COMPRESSED:
        return "".join(suffixes) if suffixes[0] in CSV + JSON else ""
    return suffixes[-1] if suffixes and suffixes[-1] in SUFFIXES else ""


def stem(path: Path) -> str:
    """The name of a file without the ending by which it is a table."""
    return path.name[: len(path.name) - len(ending(path))] if ending(path) else path.stem


def locate(words: str) -> tuple[Path, str]:
    """The path and the part that words name: `file.db?table=t` is a part of a file, unless such a file exists."""
    path = Path(words).expanduser()
    name, sign, part = words.partition("?")
    if sign and Path(name).suffix.lower() in SPREADSHEETS + DATABASES and not _exists(path):
        return Path(name).expanduser(), part
    return path, ""


def read_table(path: Path, part: str = "") -> pa.Table:
    """Read one file; every CSV cell stays text as written ("NA" and "007" too).

    part: `sheet=NAME` of a spreadsheet, `table=NAME` or `query=SELECT ...` of a database.

    Raises `DataError` with the reader's reason for a file that is not in the format of its ending.
    """
    with _refusing(path):
        match _kind(path, part):
            case ".csv" | ".tsv":
                return read_csv(path)
            case ".parquet":
                from graftwork.data.formats.parquet_tables import read_parquet  # slow to import

                return read_parquet(path)
            case kind if kind in ARROW:
                return read_arrow(path)
            case kind if kind in SPREADSHEETS:
                return read_spreadsheet(path, part)
            case kind if kind in DATABASES:
                return read_database(path, part)
            case _:
                return read_json(path)


def read_pieces(path: Path, part: str = "") -> Iterator[pa.Table]:
    """Yield the rows of one file, some at a time, as `read_table` reads them. Raises `DataError` as that does."""
    with _refusing(path):
        match _kind(path, part):
            case ".csv" | ".tsv":
                yield from read_csv_pieces(path)
            case ".parquet":
                from graftwork.data.formats.parquet_tables import read_parquet_pieces  # slow to import

                yield from read_parquet_pieces(path, PIECE)
            case kind if kind in ARROW:
                yield from read_arrow_pieces(path, PIECE)
            case kind if kind in SPREADSHEETS:  # a sheet has at most 1 048 576 rows, and is read whole in any case
                table = read_spreadsheet(path, part)
                yield from (table.slice(at, PIECE) for at in range(0, len(table), PIECE))
            case kind if kind in DATABASES:
                yield from read_database_pieces(path, part, PIECE)
            case _:
                yield from read_json_pieces(path)


def _kind(path: Path, part: str) -> str:
    """The ending of the format. Raises `DataError` for a part of a format that has none."""
    kind = "." + ending(path).split(".")[1] if ending(path) else path.suffix.lower()
    if part and kind not in SPREADSHEETS + DATABASES:
        raise DataError(
            f"'{path}' has no parts such as '{part}'; spreadsheets and databases have.", f"Write: {path.name}"
        )
    return kind


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # longer than a path can be
        return False


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn the errors of readers into `DataError`, those that no library should raise among them."""
    try:
        yield
    except GraftworkError:
        raise
    except BaseException as error:
        if not (isinstance(error, KNOWN) or is_of_library(error)):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        kind = ending(path)[1:].upper() or path.suffix[1:].upper()
        if "UTF8" in reason or "utf-8" in reason:
            raise DataError(
                f"'{path}' is not UTF-8 text, the encoding that {kind} is written in.",
                f"Convert it: iconv -f latin1 -t utf8 {path.name} > utf8-{path.name}",
            ) from error
        raise DataError(f"'{path}' cannot be read as {kind}: {reason[:200]}.", "Mend or export it again.") from error
