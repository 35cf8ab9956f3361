"""File locks, which end with the process that holds them, however it ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None


def lock(handle: int, *, wait: bool = True) -> None:
    """Lock an open file for this process.

    Raises `OSError` if another process holds it and `wait` is false, and on a system without such locks.
    """
    if fcntl is None:
        raise OSError("this system has no file locks that end with a process")
    fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock on a file, which is created if it does not exist."""
    handle = os.open(file, os.O_CREAT | os.O_RDWR)
    try:
        lock(handle)
        yield
    finally:
        os.close(handle)


def unlink_unless_locked(file: Path) -> bool:
    """Delete a file unless a live process holds its lock. Returns whether the file is gone."""
    try:
        handle = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        lock(handle, wait=False)
        file.unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
