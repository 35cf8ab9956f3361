"""Spreadsheets of Excel and LibreOffice as Arrow tables: every cell is the text that it stands for."""

from __future__ import annotations

import datetime
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa

from graftwork.data.formats.metadata import with_notes
from graftwork.data.formats.table_limits import check_growth
from graftwork.errors import DataError
from graftwork.specs.factories import require
from graftwork.specs.limits import packed_limit

DEFLATED = 1032
"""How many times its size a file grows at most that is packed by DEFLATE."""
BLOCK = 2**20
ENDINGS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")


def read_spreadsheet(path: Path, part: str = "") -> pa.Table:
    """The first sheet with rows, which a note says where there are others, or the one that `sheet=NAME` names.

    Whole numbers become "1", dates and times ISO text, booleans "TRUE" and "FALSE"; blank cells and errors such as #N/A
    are missing. Blank rows, and blank columns without a heading, are left out; the first row left is the heading.

    Raises `DataError` for a file that is none, and for a sheet that is not there; `UsageError` if python-calamine is
    missing.
    """
    _check_zip(path)
    require("python-calamine", f"Reading '{path}'", "excel")
    import python_calamine

    try:
        book = python_calamine.CalamineWorkbook.from_path(path)
        sheets = {name: _rows(book.get_sheet_by_name(name)) for name in _asked(path, part, book.sheet_names)}
    except python_calamine.PasswordError as error:
        raise DataError(f"'{path}' is locked by a password.", "Save it without one.") from error
    except (python_calamine.CalamineError, python_calamine.XmlError, python_calamine.ZipError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"'{path}' cannot be read as {path.suffix[1:].upper()}: {reason}.", "Mend or export it again."
        ) from error
    filled = {name: rows for name, rows in sheets.items() if rows}
    if not filled:
        raise DataError(f"'{path}' is empty.", "Give a table with a heading and one example a row.")
    chosen, *others = filled
    table = _table(path, filled[chosen])
    if not others:
        return table
    names = ", ".join(f"'{name}'" for name in others)
    return with_notes(table, f"The sheet '{chosen}' is read, not {names}; name another: {path.name}?sheet={others[0]}")


def _check_zip(path: Path) -> None:
    """Raises `DataError` for a file that grows too much: by what the zip archive says, and by what it is unpacked to
    where that may be more.
    """
    packed = path.stat().st_size
    most = packed_limit(packed)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            check_growth(path, sum(member.file_size for member in members), most)
            if packed * DEFLATED <= most and all(member.compress_type == zipfile.ZIP_DEFLATED for member in members):
                return
            grown = 0
            for member in members:
                member.file_size = most + 2 * BLOCK  # it may lie, and no more than it says would be read
                with archive.open(member) as file:
                    while block := file.read(BLOCK):
                        check_growth(path, grown := grown + len(block), most)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, zlib.error):  # an old one, or said below
        return


def _asked(path: Path, part: str, names: list[str]) -> list[str]:
    if not part:
        return names
    key, _, name = part.partition("=")
    if key == "sheet" and name in names:
        return [name]
    raise DataError(
        f"'{path}' has no part '{part}'; its sheets are {', '.join(names)}.", f"Write: {path.name}?sheet={names[0]}"
    )


def _rows(sheet: Any) -> list[list[str | None]]:
    rows = [[_text(cell) for cell in row] for row in sheet.to_python(skip_empty_area=True)]
    return [row for row in rows if any(cell is not None for cell in row)]


def _table(path: Path, rows: list[list[str | None]]) -> pa.Table:
    heading, *cells = rows
    width = max(map(len, rows))
    columns: dict[str, pa.Array] = {}
    for number in range(width):
        name = heading[number] if number < len(heading) else None
        column = [row[number] if number < len(row) else None for row in cells]
        if name is None:
            if any(cell is not None for cell in column):
                row = next(place for place, cell in enumerate(column) if cell is not None)
                raise DataError(
                    f"'{path}' has '{str(column[row])[:40]}' in its column {number + 1}, which has no heading; the "
                    "first row that is not blank is the heading.",
                    "Write a heading above every column, and remove titles above the table.",
                )
        elif name in columns:
            raise DataError(f"'{path}' has the column '{name}' more than once.", "Rename or remove one of them.")
        else:
            columns[name] = pa.array(column, pa.string())
    return pa.table(columns)


def _text(cell: Any) -> str | None:
    """The text that a cell stands for, None for a blank one."""
    match cell:
        case bool():
            return str(cell).upper()
        case float() if cell.is_integer():
            return str(int(cell))
        case datetime.datetime() if cell.time() == datetime.time():
            return cell.date().isoformat()
        case datetime.datetime():
            return cell.isoformat(" ")
        case datetime.date() | datetime.time():
            return cell.isoformat()
    return str(cell) if cell != "" else None
