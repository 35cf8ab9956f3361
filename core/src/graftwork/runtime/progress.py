"""Progress bars on stderr for work that takes longer than a second, only in a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from graftwork.runtime.visible import visible

T = TypeVar("T")


def track(items: Iterable[T], words: str, total: int | None, size: Callable[[T], int] = lambda item: 1) -> Iterator[T]:
    """Yield the items; a progress bar appears after one second if stderr is a terminal.

    total: of the sizes of all items; None if it is not known. size: of an item, by default 1.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    begun = time.monotonic()
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(visible(words)), total=total, visible=False)
        for item in items:
            yield item
            bar.update(task, advance=size(item), visible=time.monotonic() - begun > 1)
