"""Ctrl-C and SIGTERM while something is under way that should end whole: the first asks, the second leaves at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """Raised where work ended after it was asked to. hint: how to go on."""

    def __init__(self, message: str, hint: str, number: int) -> None:
        super().__init__(message)
        self.message, self.hint, self.number = message, hint, number


class Asked:
    """Whether a signal came. number: which; 0 for none."""

    number = 0


@contextmanager
def asked_to_stop() -> Iterator[Asked]:
    """Give what tells that a signal came. Only in the main thread, and for signals that nobody else handles."""
    asked = Asked()
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    mine = [number for number in SIGNALS if signal.getsignal(number) == usual[number]]

    def ask(number: int, _: FrameType | None) -> None:
        if asked.number:
            os._exit(128 + number)
        asked.number = number
        with suppress(RuntimeError):  # something was being printed
            print("\nFinishing the step; once more to leave at once.", file=sys.stderr, flush=True)

    for number in mine:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        for number in mine:
            signal.signal(number, usual[number])
