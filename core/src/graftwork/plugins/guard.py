"""The guard around code of plugins that is run to learn what they bring: whatever it raises becomes words.

What it prints goes to stderr, since stdout is for results. Ctrl-C stays the user's.
"""

from __future__ import annotations

import inspect
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout


@contextmanager
def guarded(failed: Callable[[BaseException], None]) -> Iterator[None]:
    """Give `failed` whatever is raised inside, `sys.exit` and a KeyboardInterrupt of the code itself included.

    Raises KeyboardInterrupt where the user pressed Ctrl-C.
    """
    with redirect_stdout(sys.stderr), _interrupts() as pressed:
        try:
            yield
        except BaseException as error:
            if pressed:
                raise
            failed(error)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """A list that is filled when SIGINT arrives: `raise KeyboardInterrupt` in a plugin looks the same otherwise."""
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    # Signals arrive in the main thread alone, and only it may set what they do.
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield pressed
        return

    def note(number: int, frame: object) -> None:
        pressed.append(number)
        before(number, frame)  # pyright: ignore[reportArgumentType]

    signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def said(error: BaseException) -> str:
    """The type of an error and the first line of what it says."""
    return f"{type(error).__name__}: {first_line(error)}"


def first_line(error: BaseException) -> str:
    lines = inspect.cleandoc(str(error)).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
