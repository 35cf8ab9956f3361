"""The activation cache: states of examples after the stages that never train, computed once and kept in the feature
store.

States are kept in half precision, without padding. With cached augmentations each example has several views, its
augmented versions, and epochs take them in turn.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graftwork.data.reading import Bad
from graftwork.features.examples import Batch, CachedAugmentations, Examples, assemble, batches, pad
from graftwork.features.extraction import Cache
from graftwork.features.leases import compute_missing
from graftwork.features.store import Row, Space, Store
from graftwork.models.precision import rounding
from graftwork.models.stages import State
from graftwork.runtime.parallel import prefetch_map
from graftwork.runtime.progress import track

KINDS = {torch.float16: 0, torch.bfloat16: 1}
SPARE = 10**9
"""Bytes of disk space to leave free."""

Run = Callable[[Batch], State]
Item = tuple[int, int]
"""The number of an example, and its view: 0 unchanged, 1 and up augmented."""


@dataclass
class Kept:
    """What the cache holds: bytes, numbers of states found and computed, and the largest error from half precision,
    as a fraction of the root mean square of its state.
    """

    bytes: int = 0
    hits: int = 0
    misses: int = 0
    error: float = 0.0


@dataclass
class ActivationCache:
    """States before stage `begin`; after the last stage if `begin` is the number of stages.

    run: computes the states of a prepared batch. precision: that of `run`. what: a name for other states, part of the
    cache key.

    `precompute` raises `StoreError` if the store cannot be written.
    """

    cache: Cache
    examples: Examples
    begin: int
    run: Run
    precision: str
    device: torch.device
    views: CachedAugmentations | None = None
    what: str = ""
    kept: Kept = field(default_factory=Kept)

    def __post_init__(self) -> None:
        about: dict[str, Any] = {
            "backbone": self.examples.backbone.spec.name,
            "kind": self.what or f"states before {self._place}",
            "precision": self.precision,
            "weights": self.cache.weights,
            "rounding": rounding(self.device),
            **self.examples.about,
        }
        self.space: Space = self.cache.store.space(about)
        self._views = [self.examples, *(self.views.of(self.examples) if self.views else [])]
        self._digests: dict[Item, bytes] = {}
        self._places: dict[Item, np.void] = {}

    @property
    def _place(self) -> str:
        return [*self.examples.backbone.spec.stages, "the end"][self.begin]

    def precompute(self, train: Sequence[int], others: Sequence[int]) -> str:
        """Compute and keep the missing states of these examples, those in `train` in every view. Returns an empty
        string, or a sentence that says why they are not kept.
        """
        views = range(1, self.views.count + 1) if self.views else range(1)
        items = [(number, view) for view in views for number in train] + [(number, 0) for number in others]
        self._identify(items)
        missing = self._find(items)
        to_compute = {self._digests[item]: item for item in missing}
        self.kept.hits, self.kept.misses = len(items) - len(to_compute), len(to_compute)
        if missing:
            if why := self._too_large(list(to_compute.values())):
                return why
            compute_missing(self.space, to_compute, self._groups, self._compute, lambda item: False)
            self._find(items)
        self.kept.bytes = sum(int(place["bytes"]) for place in self._places.values())
        self.kept.error = self.space.note.get("error", self.kept.error)
        return ""

    def batch(self, numbers: Sequence[int], epoch: int | None = None) -> Batch:
        """The states of examples, in the view of an epoch if there are views; epoch None takes them unchanged."""
        view = 0 if epoch is None or self.views is None else 1 + epoch % self.views.count
        found = [self._read((number, view)) for number in numbers]
        rows = [(place, *row) for place, parts in enumerate(found) for row in parts]
        hidden = [state for _, state, _ in rows]
        alike = len({state.shape for state in hidden}) == 1
        state = State(torch.stack(hidden)) if alike else pad(hidden)
        if self.device.type == "cuda":
            state = State(state.hidden.pin_memory(), None if state.mask is None else state.mask.pin_memory())
        return assemble(list(numbers), state, [(place, weight) for place, _, weight in rows], self.begin)

    def _identify(self, items: Sequence[Item]) -> None:
        for view in {view for _, view in items}:
            numbers = [number for number, other in items if other == view]
            for number, found in zip(numbers, self._views[view].identities(numbers), strict=True):
                # An example that has become unreadable is reported when it is read.
                self._digests[number, view] = found.reason.encode() if isinstance(found, Bad) else found

    def _find(self, items: Sequence[Item]) -> list[Item]:
        found = self.space.find([self._digests[item] for item in items])
        self._places = dict(zip(items, found, strict=True))
        return [item for item in items if self._places[item]["shard"] < 0]

    def _groups(self, items: Sequence[Item]) -> list[list[Item]]:
        """Batches, each with items of one view."""
        made = []
        for view in sorted({view for _, view in items}):
            numbers = [number for number, other in items if other == view]
            groups = batches(self.examples.sizes(numbers), self.examples.backbone.batch_size)
            made += [[(numbers[i], view) for i in group] for group in groups]
        return made

    def _prepared(self, items: list[Item]) -> tuple[list[Item], Batch]:
        view = items[0][1]
        return items, self._views[view].batch([number for number, _ in items])

    def _compute(self, groups: Iterable[list[Item]], count: int) -> None:
        for items, batch in track(prefetch_map(self._prepared, groups), "Computing what is frozen", count):
            rows = self._rows(items, batch)
            self.space.write(rows)
        if self.kept.error > self.space.note.get("error", 0.0):
            self.space.remember(error=self.kept.error)

    def _rows(self, items: list[Item], batch: Batch) -> list[Row]:
        state = self.run(batch)
        lengths = [len(row) for row in state.hidden] if state.mask is None else state.mask.sum(1).tolist()
        example_index = range(len(state.hidden)) if batch.example_index is None else batch.example_index.tolist()
        window_weight = [1.0] * len(state.hidden) if batch.window_weight is None else batch.window_weight.tolist()
        segments: dict[int, list[bytes]] = {}
        for row, (owner, length, weight) in enumerate(zip(example_index, lengths, window_weight, strict=True)):
            half, error = halved(state.hidden[row, :length])
            self.kept.error = max(self.kept.error, error)
            segments.setdefault(owner, []).append(_packed(half, weight))
        return [Row(self._digests[items[owner]], parts, len(parts)) for owner, parts in segments.items()]

    def _read(self, item: Item) -> list[tuple[Tensor, float]]:
        stored = self.space.read(self._digests[item], self._places[item])
        if stored is None:  # evicted by another process, or damaged
            items, batch = self._prepared([item])
            stored = list(self._rows(items, batch)[0].segments)
        return [_unpacked(segment) for segment in stored]

    def _too_large(self, missing: list[Item]) -> str:
        """Why the missing states cannot be kept; empty if they can. Their size is estimated from one batch."""
        group = self._groups(missing)[0]
        taken = sum(len(segment) for row in self._rows(*self._prepared(group)) for segment in row.segments)
        all_of_them, these = (sum(self.examples.sizes([n for n, _ in items])) for items in (missing, group))
        return no_room(self.cache.store, taken * all_of_them / these, f"The states before '{self._place}'")


def no_room(store: Store, needed: float, what: str) -> str:
    """Why so many bytes cannot be kept, a sentence about `what`; empty if they can."""
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


def halved(state: Tensor) -> tuple[Tensor, float]:
    """A state in half precision, float16, or bfloat16 if it came so or has values beyond float16's largest; and the
    largest error, as a fraction of the root mean square.
    """
    state = state.detach()
    half = state if state.dtype in KINDS else state.to(torch.float16)
    if not bool(half.isfinite().all()):
        half = state.to(torch.bfloat16)
    wide = state.float()
    scale = float(wide.square().mean().sqrt()) or 1.0
    return half.contiguous(), float((half.float() - wide).abs().max()) / scale


def _packed(half: Tensor, weight: float) -> bytes:
    head = struct.pack(f"<dBB{half.ndim}I", weight, KINDS[half.dtype], half.ndim, *half.shape)
    return head + half.reshape(-1).view(torch.int16).numpy().tobytes()


def _unpacked(segment: bytes) -> tuple[Tensor, float]:
    weight, kind, ndim = struct.unpack_from("<dBB", segment)
    shape = struct.unpack_from(f"<{ndim}I", segment, 10)
    numbers = np.frombuffer(segment, np.int16, offset=10 + 4 * ndim).copy()
    dtype = next(dtype for dtype, number in KINDS.items() if number == kind)
    return torch.from_numpy(numbers).view(dtype).reshape(shape), weight
