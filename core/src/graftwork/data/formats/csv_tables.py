"""CSV and TSV files as Arrow tables: every cell stays text as written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv

from graftwork.data.formats.byte_scan import Scan, scan
from graftwork.data.formats.dialect import Dialect
from graftwork.data.formats.encoding import check_western
from graftwork.data.formats.metadata import TEXT_AS_BYTES, with_notes
from graftwork.data.formats.plain_text import first_text, plain_text
from graftwork.data.formats.quotes import decide
from graftwork.data.formats.swallowed import check_swallowed
from graftwork.data.formats.table_limits import check_columns, check_shape
from graftwork.data.labels import readable
from graftwork.errors import DataError

LEAST_BLOCK = 2**20
"""Bytes that pyarrow reads at a time where rows are short."""


def read_csv(path: Path) -> pa.Table:
    """Cells as text, or as bytes if the file is not UTF-8, so that each cell can be read, and counted, in its own
    encoding.

    Raises what pyarrow raises, and `DataError` for an empty file, for rows of another width than the heading, and where
    quotes, backslashes or the separator can be read in two ways.
    """
    with _opened(path) as source:
        check_shape(path, source.scan.lines, len(source.names))
        with source.naming_rows():
            table = source.titled(pc_csv.read_csv(source.plain, **source.options()))
        source.check(lambda: [table])
        return table


def read_csv_pieces(path: Path) -> Iterator[pa.Table]:
    """The rows of one file, some at a time, as `read_csv` reads them. Raises as that does."""
    with _opened(path) as source:
        source.check(source.pieces)
        yield from source.pieces()


@dataclass(frozen=True)
class _Source:
    """A file that is being read. plain: its text as bytes. names: the heading."""

    path: Path
    plain: Path
    dialect: Dialect
    scan: Scan
    names: list[str]
    notes: tuple[str, ...] = ()

    def options(self, **parse: Any) -> dict[str, Any]:
        cells = pa.string() if self.scan.utf8 else pa.binary()
        size = min(max(LEAST_BLOCK, 2 * self.scan.longest), 2**31 - 1)
        columns = [f"f{number}" for number in range(len(self.names))]
        return {
            "read_options": pc_csv.ReadOptions(
                block_size=size,
                autogenerate_column_names=True,  # the heading is a row too, so that names need not be alone or UTF-8
                skip_rows=int(self.dialect.named),
                use_threads=not parse,
            ),
            "parse_options": pc_csv.ParseOptions(
                delimiter=self.dialect.separator,
                quote_char='"' if self.dialect.quoted else False,
                escape_char="\\" if self.dialect.escaped else False,
                newlines_in_values=self.scan.spans or self.dialect.escaped,
                **parse,
            ),
            "convert_options": pc_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, cells),
                check_utf8=False,  # the scan has checked
            ),
        }

    def pieces(self) -> Iterator[pa.Table]:
        heading = True
        with self.naming_rows():
            for batch in pc_csv.open_csv(self.plain, **self.options()):
                if len(batch):
                    yield self.titled(pa.Table.from_batches([batch]), heading)
                    heading = False

    def titled(self, table: pa.Table, heading: bool = True) -> pa.Table:
        """The rows under the names of the heading. Columns without a name are left out, which a note says unless they
        are blank."""
        if table.num_columns != len(self.names):
            raise DataError(
                f"'{self.path}' has a heading of {table.num_columns} cells, which cannot be read as such.",
                "Write it as one line, and quotes in it doubled.",
            )
        table = table.slice(1 if heading else 0).rename_columns(self.names)
        unnamed = [number for number, name in enumerate(self.names) if not name.strip()]
        notes = [
            f"Column {number + 1} has no heading and is left out."
            for number in unnamed
            if any((cell or b"").strip() for cell in _bytes(table.column(number).slice(0, 1000)))
        ]
        if len(unnamed) < len(self.names):
            table = table.select([number for number in range(len(self.names)) if number not in unnamed])
        if not self.scan.utf8:
            table = table.replace_schema_metadata({TEXT_AS_BYTES: b""})
        return with_notes(table, *self.notes, *notes)

    def check(self, pieces: Callable[[], Iterable[pa.Table]]) -> None:
        """Raises `DataError` for a cell that holds what looks like other rows."""
        if self.scan.spans and self.dialect.quoted:
            check_swallowed(self.path, pieces, self.dialect)

    @contextmanager
    def naming_rows(self) -> Iterator[None]:
        """Turn pyarrow's error for rows of another width than the heading into a sentence that numbers them."""
        try:
            yield
        except pa.ArrowInvalid as error:
            if "columns, got" not in str(error):
                raise
            hint = "Put a cell that holds the separator or a line end in double quotes, or mend the row."
            if not self.scan.utf8:  # pyarrow tells of rows in UTF-8 alone
                expected = len(self.names)
                raise DataError(
                    f"'{self.path}' has a row whose number of cells is not the {expected} of the heading.", hint
                ) from error
            rows: list[Any] = []
            options = self.options(invalid_row_handler=lambda row: rows.append(row) or "skip")
            pc_csv.read_csv(self.plain, **options)
            first, others = rows[0], len(rows) - 1
            cells = "1 cell" if first.actual_columns == 1 else f"{first.actual_columns} cells"
            more = f"; so {'has' if others == 1 else 'have'} {others} more" if others else ""
            text = first.text if isinstance(first.text, str) else readable(first.text)
            raise DataError(
                f"'{self.path}', row {first.number}: '{text.strip()[:60]}' has {cells}, and the heading has "
                f"{first.expected_columns}{more}.",
                hint,
            ) from error

    def is_even(self) -> bool:
        """Whether all rows have the width of the heading."""
        try:
            for _ in pc_csv.open_csv(self.plain, **self.options()):
                pass
        except pa.ArrowInvalid:
            return False
        return True


@contextmanager
def _opened(path: Path) -> Iterator[_Source]:
    with ExitStack() as stack:
        plain = stack.enter_context(plain_text(path))
        start = first_text(plain)
        if not start.strip():
            raise DataError(f"'{path}' is empty.", "Give a table with a header line and one example a line.")

        def is_even(dialect: Dialect, found: Scan) -> bool:
            return _Source(path, plain, dialect, found, dialect.header(start)).is_even()

        tabs = ".tsv" in path.suffixes[-2:]
        reading = decide(path, plain, Dialect.of(path, start, tabs=tabs), is_even)
        dialect, found = reading.dialect, reading.scan
        names = dialect.header(start)
        check_columns(path, len(names))
        if found.returns and found.lines:
            with plain.open("rb") as file:
                row = file.read(found.first_return).count(b"\n") + 1
            raise DataError(
                f"'{path}', line {row}: a carriage return stands within the line, where it may end a row or be a sign "
                "of the text.",
                "Put the cell in quotes, or end all lines alike.",
            )
        notes = reading.notes
        if found.pairs and found.pairs < found.lines - 1:
            said = (
                f"{found.pairs} of {found.lines} lines end in CR LF, the others in LF; a CR there is no part of a cell."
            )
            notes = (*notes, said)
        if found.returns:
            plain = _with_line_feeds(plain, reading.edges, stack)
            found = scan(plain, dialect.separator, reading.edges)
        if not found.utf8:
            check_western(path, plain)
        yield _Source(path, plain, dialect, found, names, notes)


def _with_line_feeds(plain: Path, edges: np.ndarray | None, stack: ExitStack) -> Path:
    """A copy of a file in which carriage returns end rows, which end in line feeds in it."""
    data = np.fromfile(plain, np.uint8)
    returns = np.flatnonzero(data == ord("\r"))
    edges = np.flatnonzero(data == ord('"')) if edges is None else edges
    data[returns[np.searchsorted(edges, returns) % 2 == 0]] = ord("\n")
    copy = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="graftwork-"))) / "plain"
    data.tofile(copy)
    return copy


def _bytes(column: pa.ChunkedArray) -> list[bytes | None]:
    return column.cast(pa.binary()).to_pylist()
