"""CSV and TSV files as Arrow tables: every cell stays text as written."""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc_csv

from graftwork.data.columns import TEXT_AS_BYTES
from graftwork.data.dialect import Dialect, block_size, old_mac
from graftwork.errors import DataError


def read_csv(path: Path) -> pa.Table:
    """Cells as text, or as bytes if the file is not UTF-8, so that each cell can be read, and counted, in its own
    encoding.

    A tab-separated file in which a quote runs over other rows is read without quoting, as many programs write it, if
    its rows are even so. Raises what pyarrow raises, and `DataError` for an empty file.
    """
    source, dialect, start = _open(path)
    with _naming_rows(path, source, dialect, start):
        table = _read(path, source, dialect, start)
    if dialect.separator == "\t" and _runs_over(table):
        with contextlib.suppress(pa.ArrowInvalid):
            return _read(path, source, replace(dialect, quoted=False), start)
    return table


def read_csv_pieces(path: Path) -> Iterator[pa.Table]:
    """The rows of one file, some at a time.

    Where a quote of a tab-separated file runs over other rows, the rest is read as `read_csv` reads it. Raises as that
    does.
    """
    source, dialect, start = _open(path)
    plain = _is_utf8(source())
    done = 0
    with _naming_rows(path, source, dialect, start):
        for batch in pc_csv.open_csv(source(), **_options(path, dialect, start, plain)):
            table = pa.Table.from_batches([batch])
            if dialect.separator == "\t" and _runs_over(table):
                yield read_csv(path).slice(done)
                return
            done += len(table)
            yield table if plain else table.replace_schema_metadata({TEXT_AS_BYTES: b""})


def _read(path: Path, source: Callable[[], Any], dialect: Dialect, start: str) -> pa.Table:
    try:
        return pc_csv.read_csv(source(), **_options(path, dialect, start, True))
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        if "UTF8" not in str(error) and "utf-8" not in str(error):
            raise
        table = pc_csv.read_csv(source(), **_options(path, dialect, start, False))
        return table.replace_schema_metadata({TEXT_AS_BYTES: b""})


@contextlib.contextmanager
def _naming_rows(path: Path, source: Callable[[], Any], dialect: Dialect, start: str) -> Iterator[None]:
    """Turn pyarrow's error for rows of another width than the heading into a sentence that numbers them."""
    try:
        yield
    except pa.ArrowInvalid as error:
        if "columns, got" not in str(error):
            raise
        rows: list[Any] = []
        options = _options(path, dialect, start, False)
        options["read_options"].use_threads = False  # pyarrow numbers rows on one thread alone
        options["parse_options"].invalid_row_handler = lambda row: rows.append(row) or "skip"
        pc_csv.read_csv(source(), **options)
        first, others = rows[0], len(rows) - 1
        cells = "1 cell" if first.actual_columns == 1 else f"{first.actual_columns} cells"
        more = f"; so {'has' if others == 1 else 'have'} {others} more" if others else ""
        raise DataError(
            f"'{path}', row {first.number}: '{first.text.strip()[:60]}' has {cells}, and the heading has "
            f"{first.expected_columns}{more}.",
            "Put a cell that holds the separator or a line end in double quotes, or mend the row.",
        ) from error


def _runs_over(table: pa.Table) -> bool:
    """Whether a cell holds a line end and a tab, as it does where a quote that is a sign of its own opened it."""
    import pyarrow.compute

    match: Any = vars(pyarrow.compute)  # made at import, so that type checkers do not see them
    found = (match["match_substring_regex"](column, "(?s)\\n.*\\t|\\t.*\\n") for column in table.columns)
    return any(match["any"](rows).as_py() for rows in found)


def _open(path: Path) -> tuple[Callable[[], Any], Dialect, str]:
    """What pyarrow reads the file from, how the file is written, and its first text."""
    source, start = _bytes_of(path)
    if not start.strip():
        raise DataError(f"'{path}' is empty.", "Give a table with a header line and one example a line.")
    return source, Dialect.of(start, tabs=path.suffix.lower() == ".tsv"), start


def _options(path: Path, dialect: Dialect, start: str, plain: bool) -> dict[str, Any]:
    """pyarrow's options for cells as text (plain), or as bytes."""
    cells = pa.string() if plain else pa.binary()
    return {
        "read_options": pc_csv.ReadOptions(block_size=block_size(path)),
        "parse_options": pc_csv.ParseOptions(
            delimiter=dialect.separator,
            quote_char='"' if dialect.quoted else False,
            newlines_in_values=dialect.quoted,
        ),
        "convert_options": pc_csv.ConvertOptions(column_types=dict.fromkeys(dialect.header(start), cells)),
    }


def _bytes_of(path: Path) -> tuple[Callable[[], Any], str]:
    """What pyarrow reads the file from, and its first text. UTF-16 with a byte order mark is recoded, and line ends of
    a carriage return alone are made usual ones."""
    with path.open("rb") as file:
        head = file.read(65536)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = path.read_bytes().decode("utf-16")
        text = text.replace("\r", "\n") if old_mac(text[:65536]) else text
        return lambda: pa.py_buffer(text.encode()), text[:65536]
    start = head.decode("utf-8-sig", errors="replace")
    if old_mac(start):
        content = path.read_bytes().replace(b"\r", b"\n")
        return lambda: pa.py_buffer(content), start.replace("\r", "\n")
    return lambda: path, start


def _is_utf8(source: Any) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    blocks = _blocks(source) if isinstance(source, Path) else [bytes(source)]
    try:
        for block in blocks:
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(2**20):
            yield block
