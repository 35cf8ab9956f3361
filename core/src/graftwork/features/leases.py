"""Computing missing rows of the feature store together with other processes that need the same ones."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from graftwork.features.store import Space
from graftwork.runtime.locks import PATIENCE, SAID, Waiting
from graftwork.specs.contracts import plural

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

    A process that holds leases and computes nothing for `PATIENCE` seconds is stopped, or busy with other things: its
    rows are computed beside it.

    group: makes batches of items. compute: takes an iterator over the batches leased to this process and the largest
    number of them, and writes their rows. done: whether an item needs no row any more: it has one, or never will.

    Raises what `compute` raises.
    """
    digests = {item: digest for digest, item in wanted.items()}
    wanted = dict(wanted)
    since, said = time.monotonic(), False

    def unclaimed(groups: list[list[T]]) -> Iterator[list[T]]:
        for items in groups:
            mine = space.lease([digests[item] for item in items], least)
            if mine:
                yield [item for item in items if digests[item] in mine]

    while wanted:
        groups = group(list(wanted.values()))
        compute(unclaimed(groups), len(groups))
        begun, before = time.perf_counter(), len(wanted)
        wanted = _missing(space, {digest: item for digest, item in wanted.items() if not done(item)}, least)
        if len(wanted) < before:
            since, said = time.monotonic(), False
        waited = time.monotonic() - since
        if wanted and waited > PATIENCE:
            groups = group(list(wanted.values()))
            compute(groups, len(groups))
            return
        if wanted and waited > SAID and not said:
            said = True
            words = (
                f"Waiting for {space.holders(list(wanted))}, which computes {plural(len(wanted), 'example')} of these."
            )
            warnings.warn(words, Waiting, stacklevel=2)
        if wanted:
            time.sleep(max(WAIT, 2 * (time.perf_counter() - begun)))


def _missing(space: Space, items: Mapping[bytes, T], least: int) -> dict[bytes, T]:
    digests: Sequence[bytes] = list(items)
    found = zip(digests, space.find(digests), strict=True)
    return {digest: items[digest] for digest, place in found if place is None or place.segments < least}
