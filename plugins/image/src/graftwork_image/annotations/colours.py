"""Tables that say which class a grey level, palette index or colour of a mask stands for."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from graftwork_image.annotations.faults import fault, text_of

TABLES = ("labelmap.txt", "label_colors.txt", "classes.csv", "class_dict.csv", "_classes.csv", "classes.txt")
"""File names of tables, in the order in which they are looked for."""

NUMBER = re.compile("[0-9]{1,9}")


def colour(red: int, green: int, blue: int) -> str:
    """A colour as `Mask.names` has it: "#ff0000"."""
    return f"#{red:02x}{green:02x}{blue:02x}"


def table_in(*folders: Path) -> dict[str, str]:
    """The class of each level ("0") or colour ("#ff0000") by the first table in the folders; empty without one.

    Raises `DataError` with the line for a table that cannot be read.
    """
    for folder in folders:
        for name in TABLES:
            if (file := folder / name).is_file():
                return read_table(file)
    return {}


def read_table(file: Path) -> dict[str, str]:
    """The class of each level or colour, by a line each:

    "name:red,green,blue:parts:actions" as CVAT writes it (labelmap.txt); "red green blue name" or
    "name red green blue", divided by blanks, tabs or commas (CamVid's label_colors.txt, classes.csv with or without
    a line of titles); "level,name" or "level name"; or a name alone, whose level is its place, from 0 (classes.txt).
    Lines that begin with # are comments.

    Raises `DataError` with the line for one that is neither, and for a level or colour that is named twice.
    """
    found: dict[str, str] = {}
    place = 0
    titled = file.suffix.lower() == ".csv"
    for line, text in enumerate(text_of(file).splitlines(), 1):
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        parts = _parts(text, titled)
        if titled and not found and not any(NUMBER.fullmatch(part) for part in parts) and len(parts) > 1:
            continue  # the line of titles
        numbers = [int(part) for part in parts if NUMBER.fullmatch(part)]
        names = [part for part in parts if not NUMBER.fullmatch(part)]
        if len(numbers) == 3 and names and max(numbers) <= 255:
            level = colour(*numbers)
        elif len(numbers) == 1 and names:
            level = str(numbers[0])
        elif (not numbers and names) or len(parts) == 1:
            level, names = str(place), parts if len(parts) == 1 else [text.strip()]
        else:
            raise fault(file, f"Line {line}", text.strip(), "a name with red, green and blue, or a level, is accepted")
        name = " ".join(names)
        if found.setdefault(level, name) != name:
            raise fault(file, f"Line {line}", text.strip(), f"{level} is '{found[level]}' already")
        place += 1
    return found


def _parts(text: str, titled: bool) -> list[str]:
    cvat = re.fullmatch(r"\s*(.+?):(\d+,\d+,\d+)?:[^:]*:[^:]*", text)
    if cvat:
        return [cvat[1].strip(), *(cvat[2] or "").split(",")] if cvat[2] else [cvat[1].strip()]
    if titled or text.count(",") in (1, 3):
        return [part.strip() for part in next(csv.reader([text])) if part.strip()]
    numbers = re.fullmatch(r"\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S.*?)\s*", text)
    last = re.fullmatch(r"\s*(\S.*?)\s+(\d+)\s+(\d+)\s+(\d+)\s*", text)
    level = re.fullmatch(r"\s*(\d+)[:\s]\s*(\S.*?)\s*", text)
    for match in (numbers, last, level):
        if match:
            return list(match.groups())
    return [text.strip()]
