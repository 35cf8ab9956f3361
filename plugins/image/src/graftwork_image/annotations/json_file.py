"""JSON of annotation tools: parsed, and its fields as what they should be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from graftwork import DataError, parse_json
from graftwork_image.annotations.faults import CORRECT, fault, number, text_of


def load(file: Path) -> Any:
    """What a file holds. Raises `DataError` with the line for what is no JSON."""
    try:
        return parse_json(text_of(file))
    except json.JSONDecodeError as error:
        raise DataError(f"Line {error.lineno} of '{file}' is not JSON: {error.msg}.", CORRECT) from error
    except ValueError as error:
        reason = str(error) if "nested" in str(error) else "a number in it has too many digits"
        raise DataError(f"'{file}' is not JSON that can be read: {reason}.", CORRECT) from error


def objects(holder: dict[str, Any], name: str, file: Path, at: str = "") -> list[dict[str, Any]]:
    """The list of objects in a field; empty where the field is missing. Raises `DataError` for anything else."""
    found = holder.get(name, [])
    where = f"{at}{name}"
    if not isinstance(found, list):
        raise fault(file, where, type(found).__name__, "a list of objects is accepted")
    for place, item in enumerate(found):
        if not isinstance(item, dict):
            raise fault(file, f"{where}[{place}]", item, "an object is accepted")
    return found


def name_in(holder: dict[str, Any], field: str, file: Path, at: str) -> str:
    """The text in a field, trimmed. Raises `DataError` for none, or an empty one."""
    found = holder.get(field)
    if not isinstance(found, str) or not found.strip():
        raise fault(file, f"{at}.{field}", found, "a text is accepted")
    return found.strip()


def numbers_in(value: Any, file: Path, where: str, accepted: str, count: int | None = None) -> tuple[float, ...]:
    """A list of finite numbers. Raises `DataError` for anything else, or another count."""
    if not isinstance(value, list) or (count is not None and len(value) != count):
        raise fault(file, where, value, accepted)
    return tuple(number(item, file, where, accepted) for item in value)


def size_in(holder: dict[str, Any], fields: tuple[str, str], file: Path, at: str) -> tuple[int, int] | None:
    """Width and height in two fields; None where neither is there. Raises `DataError` for anything else."""
    given = [holder.get(field) for field in fields]
    if given == [None, None]:
        return None
    sides = []
    for field, value in zip(fields, given, strict=True):
        side = number(value, file, f"{at}.{field}", "a number of pixels is accepted")
        if side < 1:
            raise fault(file, f"{at}.{field}", value, "at least one pixel is accepted")
        sides.append(int(side))
    return sides[0], sides[1]
