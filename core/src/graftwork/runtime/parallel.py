"""Work in threads, in order, with no more than a few results waiting."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def workers() -> int:
    return max(2, min(8, os.cpu_count() or 1))


def prefetch_map(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Results in the order of `items`, no more than a few computed ahead of the one in use."""
    with ThreadPoolExecutor(max_workers=workers()) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > workers():
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def prefetch(items: Iterable[T]) -> Iterator[T]:
    """The items in order, the next one made in a thread beside the use of the last."""
    source, end = iter(items), object()
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = pool.submit(next, source, end)
        while (item := waiting.result()) is not end:
            waiting = pool.submit(next, source, end)
            yield item  # pyright: ignore[reportReturnType]
