"""Where training by steps stands, for the person who waits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def watching() -> Iterator[Callable[[Any], None]]:
    """Show where training by steps stands: a live line on a terminal, else a line for each epoch."""
    live = sys.stderr.isatty()

    def watch(at: Any) -> None:
        figure = "" if at.value is None else f", validation {at.metric.replace('_', ' ')} {at.value:.4f}"
        if at.done:
            print(
                ("\r\x1b[K" if live else "") + f"epoch {at.epoch}/{at.epochs}: loss {at.loss:.4f}{figure}",
                file=sys.stderr,
            )
        elif live:
            minutes, seconds = divmod(round(at.seconds_left), 60)
            words = (
                f"epoch {at.epoch}/{at.epochs}, step {at.step}/{at.steps}: loss {at.loss:.4f}{figure}, "
                f"rate {at.lr:.1e}, {at.examples_per_s:.0f} examples/s, {minutes}:{seconds:02} left"
            )
            print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)

    yield watch
