"""Work in threads: results in order, only a few computed in advance."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def workers() -> int:
    return max(2, min(8, os.cpu_count() or 1))


def prefetch_map(function: Callable[[T], R], items: Iterable[T], threads: int = 0) -> Iterator[R]:
    """Yield `function(item)` in the order of `items`, computed in threads a few items ahead."""
    threads = threads or workers()
    with ThreadPoolExecutor(max_workers=threads) as pool:
        yield from map_in(pool, function, items, threads)


def map_in(pool: Executor, function: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[R]:
    """Yield `function(item)` in the order of `items`, computed by a pool, at most `ahead` in advance."""
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def prefetch(items: Iterable[T]) -> Iterator[T]:
    """Yield the items in order; a thread makes the next one while the last one is used."""
    source, end = iter(items), object()
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = pool.submit(next, source, end)
        while (item := waiting.result()) is not end:
            waiting = pool.submit(next, source, end)
            yield item  # pyright: ignore[reportReturnType]
