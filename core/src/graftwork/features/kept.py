"""What stages that never train make of examples, computed once where it is missing and kept in the feature store."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from graftwork.features.examples import Examples, batches
from graftwork.features.extraction import Cache
from graftwork.features.leases import compute_missing
from graftwork.features.store import Place, Row, Space
from graftwork.runtime.parallel import prefetch_map
from graftwork.runtime.progress import track

SPARE = 10**9
"""Bytes of disk space to leave free."""

Item = tuple[int, int]
"""The number of an example, and its view: 0 unchanged, 1 and up as training shows it."""

B = TypeVar("B")


@dataclass
class Kept:
    """What a cache holds: bytes, numbers of states found and computed, and the largest error from half precision, as a
    fraction of the root mean square of its state.
    """

    bytes: int = 0
    hits: int = 0
    misses: int = 0
    error: float = 0.0


class KeptRows(ABC, Generic[B]):
    """Rows of the feature store, one for an example in one of its views.

    A batch B is what `_prepared` makes of examples, and `_rows` makes rows of it.
    """

    cache: Cache
    space: Space
    kept: Kept

    def __init__(self, space: Space) -> None:
        self.space = space
        self._digests: dict[Item, bytes] = {}
        self._places: dict[Item, Place | None] = {}

    @abstractmethod
    def _identify(self, items: Sequence[Item]) -> None:
        """Enter the digests of items."""

    @abstractmethod
    def _prepared(self, items: list[Item]) -> tuple[list[Item], B]: ...

    @abstractmethod
    def _rows(self, items: list[Item], batch: B) -> list[Row]: ...

    def _keep(self, items: Sequence[Item], examples: Examples, what: str) -> str:
        """Compute and keep what is missing. what: its name in a sentence. Returns an empty string, or a sentence that
        says why nothing is kept. Raises `StoreError` if the store cannot be written.
        """
        self._identify(items)
        to_compute = {self._digests[item]: item for item in self._missing(items)}
        self.kept.hits, self.kept.misses = len(items) - len(to_compute), len(to_compute)
        if to_compute:
            missing = list(to_compute.values())
            if why := self._too_large(missing, examples, what):
                return why
            compute_missing(
                self.space, to_compute, lambda some: grouped(some, examples), self._compute, lambda item: False
            )
            self._missing(items)
        self.kept.bytes = sum(place.bytes for place in self._places.values() if place)
        self.kept.error = self.space.note.get("error", self.kept.error)
        return ""

    def _missing(self, items: Sequence[Item]) -> list[Item]:
        found = self.space.find([self._digests[item] for item in items])
        self._places.update(zip(items, found, strict=True))
        return [item for item in items if self._places[item] is None]

    def _stored(self, item: Item) -> list[bytes] | None:
        """The segments of an item; None where they are not kept, damaged, or were evicted by another process."""
        place = self._places.get(item)
        return place and self.space.read(self._digests[item], place)

    def _compute(self, groups: Iterable[list[Item]], count: int) -> None:
        for items, batch in track(prefetch_map(self._prepared, groups), "Computing what is frozen", count):
            self.space.write(self._rows(items, batch))
        if self.kept.error > self.space.note.get("error", 0.0):
            self.space.remember(error=self.kept.error)

    def _too_large(self, missing: list[Item], examples: Examples, what: str) -> str:
        """Why so much cannot be kept, a sentence; empty if it can. Its size is estimated from one batch."""
        group = grouped(missing, examples)[0]
        taken = sum(len(segment) for row in self._rows(*self._prepared(group)) for segment in row.segments)
        all_of_them, these = (sum(examples.sizes([number for number, _ in items])) for items in (missing, group))
        needed = taken * all_of_them / these
        store = self.cache.store
        free = shutil.disk_usage(store.folder).free - SPARE
        if needed <= min(store.limit, free):
            return ""
        room = f"the feature store holds at most {store.limit / 1e6:,.0f} MB"
        if free < store.limit:
            room = f"the disk has room for {max(free, 0) / 1e6:,.0f} MB"
        return (
            f"{what} would take {needed / 1e6:,.0f} MB and {room}, so what is frozen runs in every epoch. Make room: "
            "GRAFTWORK_CACHE_LIMIT, or GRAFTWORK_CACHE for another disk"
        )


def grouped(items: Sequence[Item], examples: Examples) -> list[list[Item]]:
    """Batches of items of about one size, each with items of one view."""
    made = []
    for view in sorted({view for _, view in items}):
        numbers = [number for number, other in items if other == view]
        groups = batches(examples.sizes(numbers), examples.backbone.batch_size)
        made += [[(numbers[place], view) for place in group] for group in groups]
    return made


def halved(state: Tensor) -> tuple[Tensor, float]:
    """A state in half precision, float16, or bfloat16 if it came so or has values beyond float16's largest; and the
    largest error, as a fraction of the root mean square.
    """
    state = state.detach()
    half = state if state.dtype in (torch.float16, torch.bfloat16) else state.to(torch.float16)
    if not bool(half.isfinite().all()):
        half = state.to(torch.bfloat16)
    wide = state.float()
    scale = float(wide.square().mean().sqrt()) or 1.0
    return half.contiguous(), float((half.float() - wide).abs().max()) / scale
