"""File locks, which end with the process that holds them, however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None


SAID, PATIENCE = 5.0, 60.0
"""Seconds after which it is said that a lock is waited for, and after which it is waited for no longer, unless the file
changed meanwhile."""
OFTEN = 0.05


def lock(handle: int, *, wait: bool = True) -> None:
    """Lock an open file for this process. A lock that another process holds is waited for while the file changes, else
    for `PATIENCE` seconds.

    Raises `OSError` if another process holds it for longer, or at all if `wait` is false, and on a system without such
    locks.
    """
    if fcntl is None:
        raise OSError("this system has no file locks that end with a process")
    seen, begun, said = os.fstat(handle).st_mtime_ns, time.monotonic(), False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise
        else:
            return
        now = os.fstat(handle).st_mtime_ns
        if now != seen:
            seen, begun = now, time.monotonic()
        waited = time.monotonic() - begun
        if waited > PATIENCE:
            raise OSError(errno.EAGAIN, f"{holder(handle)} has held its lock for over {PATIENCE:.0f} s")
        if waited > SAID and not said:
            said = True
            warnings.warn(f"Waiting for {holder(handle)}, which holds a lock.", Waiting, stacklevel=2)
        time.sleep(OFTEN)


class Waiting(UserWarning):
    """Says what is waited for."""


def holder(handle: int) -> str:
    """The process that holds the lock of an open file, as Linux tells it, with its host and since when it runs."""
    stat, here = os.fstat(handle), f"on {platform.node()}"
    place = f"{os.major(stat.st_dev):02x}:{os.minor(stat.st_dev):02x}:{stat.st_ino}"
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if len(words) > 5 and words[1] == "FLOCK" and words[5] == place and words[4].isdigit():
                since = time.strftime("%H:%M:%S", time.localtime(Path("/proc", words[4]).stat().st_mtime))
                return f"process {words[4]} {here} (since {since})"
    return f"another process {here}"


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
