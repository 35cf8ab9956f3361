"""JSON as annotation tools write it: an object a line, or a list of objects."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from graftwork import DataError, Span, parse_json

LOOKED_INTO = 1_000
"""How many objects of a file are looked into, at most, to tell its format."""


def rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file with one a line, with the numbers of their lines. Raises `DataError` for anything else."""
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _object(file, number, line)
    except UnicodeDecodeError as error:
        raise DataError(f"'{file}' is not written in UTF-8: {error.reason}.", "Save it as UTF-8.") from error


def first_rows(file: Path) -> list[dict[str, Any]]:
    """The first objects of a file with one a line; none where it is no such file."""
    try:
        return [row for _, row in islice(rows(file), LOOKED_INTO)]
    except DataError:
        return []


def objects(file: Path) -> list[dict[str, Any]]:
    """The objects of a file that is a list of them. Raises `DataError` for anything else."""
    try:
        found = parse_json(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise DataError(f"'{file}' cannot be read as JSON: {error}.", "Export it again.") from error
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise DataError(f"'{file}' is no list of objects.", "Export it again, as JSON.")
    return found


def span_of(start: Any, end: Any, label: Any) -> Span | None:
    """The span, if these are two places in a text and a name."""
    if any(isinstance(at, bool) or not isinstance(at, int) for at in (start, end)) or not isinstance(label, str):
        return None
    return Span(start, end, label)


def _object(file: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = parse_json(line)
    except ValueError as error:
        raise DataError(f"Line {number} of '{file}' cannot be read as JSON: {error}.", "Mend the line.") from error
    if not isinstance(found, dict):
        raise DataError(f"Line {number} of '{file}' is no object.", 'Write: {"text": ...}')
    return found
