"""The files of an example that is a folder: which of them count, in what order, and how many there may be."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from graftwork.errors import Empty, Unreadable
from graftwork.specs.limits import how_to_raise, limits
from graftwork.specs.plain_files import special

LEFT_BEHIND = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", ".ds_store", "__macosx", "@eadir"})
"""Files and folders that systems leave in any folder, in lower case. Other hidden files count (`.zarray`)."""


def files_in(folder: Path) -> Iterator[Path]:
    """Yield what a folder holds at any depth besides folders, in no order. Links to folders are followed, each once."""
    seen: set[str] = set()
    left = [folder]
    while left:
        here = left.pop()
        if (real := os.path.realpath(here)) in seen:
            continue
        seen.add(real)
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.name.lower() in LEFT_BEHIND or entry.name.startswith("._"):
                    continue
                if entry.is_dir():
                    left.append(Path(entry.path))
                else:
                    yield Path(entry.path)


def files_of_folder(folder: Path, name: str) -> list[Path]:
    """The files of a folder that is one example, by the parts of their paths: `frame2` before `frame10`.

    name: of the example. Raises `Empty` for none, `Unreadable` for more than `folder_files`, for a pipe, a device or a
    socket, and for a link that leads nowhere.
    """
    found, most = [], limits().folder_files
    try:
        for path in files_in(folder):
            if len(found) == most:
                raise Unreadable(
                    f"'{name}' holds more than {most:,} files; at most that many are one example.",
                    how_to_raise("folder_files", 2 * most),
                )
            found.append(path)
        for path in found:
            if noun := special(path.stat().st_mode):
                inside = path.relative_to(folder).as_posix()
                raise Unreadable(f"'{name}' holds '{inside}', {noun}, which is never opened as data.", "Leave it out.")
    except OSError as error:
        raise Unreadable(f"'{name}' cannot be read: '{error.filename}': {error.strerror}.", "Mend it.") from error
    if not found:
        raise Empty(f"'{name}' is an empty folder.", "Fill it, or leave it out.")
    return sorted(found, key=lambda path: [_natural(part) for part in path.relative_to(folder).parts])


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """A key that puts numbers in a name in the order of their values; of equal ones, the name itself decides."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if number % 2 else (0, part) for number, part in enumerate(parts)], name
