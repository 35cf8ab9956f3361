"""The activation cache: states of examples after the stages that never train, computed once and kept in the feature
store.

States are kept in half precision, without padding. With cached augmentations each example has several views, its
augmented versions, and epochs take them in turn.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graftwork.data.reading import Bad
from graftwork.features.examples import Batch, CachedAugmentations, Examples, assemble, pad
from graftwork.features.extraction import Cache
from graftwork.features.kept import Item, Kept, KeptRows, halved
from graftwork.features.store import Row
from graftwork.models.precision import rounding
from graftwork.models.stages import State

KINDS = {torch.float16: 0, torch.bfloat16: 1}
Run = Callable[[Batch], State]


@dataclass
class ActivationCache(KeptRows[Batch]):
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
        super().__init__(self.cache.store.space(about))
        self._views = [self.examples, *(self.views.of(self.examples) if self.views else [])]

    @property
    def _place(self) -> str:
        return [*self.examples.backbone.spec.stages, "the end"][self.begin]

    def precompute(self, train: Sequence[int], others: Sequence[int]) -> str:
        """Compute and keep the missing states of these examples, those in `train` in every view. Returns an empty
        string, or a sentence that says why they are not kept.
        """
        views = range(1, self.views.count + 1) if self.views else range(1)
        items = [(number, view) for view in views for number in train] + [(number, 0) for number in others]
        return self._keep(items, self.examples, f"The states before '{self._place}'")

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

    def _prepared(self, items: list[Item]) -> tuple[list[Item], Batch]:
        view = items[0][1]
        return items, self._views[view].batch([number for number, _ in items])

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
        stored = self._stored(item)
        if stored is None:  # evicted by another process, or damaged
            items, batch = self._prepared([item])
            stored = list(self._rows(items, batch)[0].segments)
        return [_unpacked(segment) for segment in stored]


def _packed(half: Tensor, weight: float) -> bytes:
    head = struct.pack(f"<dBB{half.ndim}I", weight, KINDS[half.dtype], half.ndim, *half.shape)
    return head + half.reshape(-1).view(torch.int16).numpy().tobytes()


def _unpacked(segment: bytes) -> tuple[Tensor, float]:
    weight, kind, ndim = struct.unpack_from("<dBB", segment)
    shape = struct.unpack_from(f"<{ndim}I", segment, 10)
    numbers = np.frombuffer(segment, np.int16, offset=10 + 4 * ndim).copy()
    dtype = next(dtype for dtype, number in KINDS.items() if number == kind)
    return torch.from_numpy(numbers).view(dtype).reshape(shape), weight
