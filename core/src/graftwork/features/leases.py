"""Computing missing rows of the feature store together with other processes that need the same ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from graftwork.features.store import Space

T = TypeVar("T", bound=Hashable)

WAIT = 0.05
"""Seconds between checks for rows that other processes compute."""


def compute_missing(
    space: Space,
    wanted: Mapping[bytes, T],
    group: Callable[[list[T]], list[list[T]]],
    compute: Callable[[Iterable[list[T]], int], None],
    done: Callable[[T], bool],
    least: int = 1,
) -> None:
    """Ensure that every digest in `wanted` has a row of at least `least` segments; compute those that no other live
    process has leased.

    group: makes batches of items. compute: takes an iterator over the batches leased to this process and the largest
    number of them, and writes their rows. done: whether an item needs no row any more: it has one, or never will.

    Raises what `compute` raises.
    """
    digests = {item: digest for digest, item in wanted.items()}
    wanted = dict(wanted)

    def unclaimed(groups: list[list[T]]) -> Iterator[list[T]]:
        for items in groups:
            mine = space.lease([digests[item] for item in items], least)
            if mine:
                yield [item for item in items if digests[item] in mine]

    while wanted:
        groups = group(list(wanted.values()))
        compute(unclaimed(groups), len(groups))
        begun = time.perf_counter()
        wanted = _missing(space, {digest: item for digest, item in wanted.items() if not done(item)}, least)
        if wanted:
            time.sleep(max(WAIT, 2 * (time.perf_counter() - begun)))


def _missing(space: Space, items: Mapping[bytes, T], least: int) -> dict[bytes, T]:
    digests: Sequence[bytes] = list(items)
    found = zip(digests, space.find(digests), strict=True)
    return {digest: items[digest] for digest, place in found if place is None or place.segments < least}
