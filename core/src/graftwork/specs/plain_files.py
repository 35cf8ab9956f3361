"""Plain files alone are data: a pipe, a device or a socket could block a fit for ever, or never end."""

from __future__ import annotations

import stat
from pathlib import Path

from graftwork.errors import Unreadable
from graftwork.specs.limits import how_to_raise, limits

KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def special(mode: int) -> str:
    """What is neither a plain file nor a folder, by its mode, as a noun; empty for these."""
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return ""
    return next((noun for test, noun in KINDS if test(mode)), "no plain file")


def check_plain(path: Path, name: str) -> int:
    """Check a file right before it is opened. name: of the example.

    Returns its size in bytes. Raises `Unreadable` for a pipe, a device or a socket, `OSError` for none.
    """
    found = path.stat()
    if noun := special(found.st_mode):
        raise Unreadable(f"'{name}' is {noun}, which is never opened as data; plain files are.", "Leave it out.")
    return found.st_size


def check_readable(path: Path, name: str) -> None:
    """Check a file right before all of it is read into memory.

    Raises `Unreadable` as `check_plain` does, and for one of more than `file_bytes`; `OSError` for none.
    """
    size, most = check_plain(path, name), limits().file_bytes
    if size > most:
        raise Unreadable(f"'{name}' holds {size:,} bytes; at most {most:,} are read.", how_to_raise("file_bytes", size))
