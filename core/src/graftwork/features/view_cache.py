"""What frozen stages make of the pieces of examples, computed once and kept in the feature store in half precision."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import functional

from graftwork.data.reading import Bad
from graftwork.features.activation_cache import Kept, halved, no_room
from graftwork.features.examples import batches
from graftwork.features.extraction import Cache
from graftwork.features.leases import compute_missing
from graftwork.features.pieces import Piece, PieceBatch, PieceExamples
from graftwork.features.store import Row
from graftwork.models.precision import rounding
from graftwork.models.reading import Reading
from graftwork.models.stages import State
from graftwork.runtime.parallel import prefetch_map
from graftwork.runtime.progress import track

Run = Callable[[PieceBatch], Reading]
Item = tuple[int, int]
"""The number of an example, and its view: 0 as it is asked about, 1 and up as training shows it."""


@dataclass
class ViewCache:
    """What stages before `begin` make of the pieces of examples.

    run: computes that of a prepared batch, on the processor's memory. precision: that of `run`. versions: how many
    changed versions of a training example there are; 0 for the unchanged one alone.

    `precompute` raises `StoreError` if the store cannot be written.
    """

    cache: Cache
    source: PieceExamples
    begin: int
    run: Run
    precision: str
    device: torch.device
    versions: int = 0
    changes: str = ""
    kept: Kept = field(default_factory=Kept)

    def __post_init__(self) -> None:
        source, examples = self.source, self.source.examples
        about: dict[str, Any] = {
            "backbone": examples.backbone.spec.name,
            "kind": f"views before {[*examples.backbone.spec.stages, 'the end'][self.begin]}",
            "what": repr(source.what),
            "precision": self.precision,
            "weights": self.cache.weights,
            "rounding": rounding(self.device),
            "pieces": source.cutter.identity,
            "changes": self.changes,
            **examples.about,
        }
        self.space = self.cache.store.space(about)
        self._digests: dict[Item, bytes] = {}
        self._places: dict[Item, np.void] = {}
        self._pieces: dict[Item, list[Piece]] = {}

    def precompute(self, train: Sequence[int], others: Sequence[int]) -> str:
        """Compute and keep what is missing. Returns an empty string, or a sentence that says why nothing is kept."""
        items = [(number, view) for view in self._views for number in train] + [(number, 0) for number in others]
        self._identify(items)
        to_compute = {self._digests[item]: item for item in self._missing(items)}
        self.kept.hits, self.kept.misses = len(items) - len(to_compute), len(to_compute)
        if to_compute:
            if why := self._too_large(list(to_compute.values())):
                return why
            compute_missing(self.space, to_compute, self._groups, self._compute, lambda item: False)
            self._missing(items)
        self.kept.bytes = sum(int(place["bytes"]) for place in self._places.values())
        self.kept.error = self.space.note.get("error", self.kept.error)
        return ""

    def batch(self, numbers: Sequence[int], epoch: int | None = None) -> PieceBatch:
        """Examples as an epoch of training shows them; as they are asked about for None."""
        found = [self._read(self._item(number, epoch)) for number in numbers]
        owners = [place for place, (pieces, _) in enumerate(found) for _ in pieces]
        pieces = [piece for some, _ in found for piece in some]
        return PieceBatch(list(numbers), owners, pieces, self._together([one for _, kept in found for one in kept]))

    @property
    def _views(self) -> Sequence[int]:
        """Those that training shows."""
        if self.versions:
            return range(1, self.versions + 1)
        return [0 if self.source.cutter.alike else 1]

    def _item(self, number: int, epoch: int | None) -> Item:
        return number, 0 if epoch is None else self._views[epoch % len(self._views)]

    def _identify(self, items: Sequence[Item]) -> None:
        numbers = list(dict.fromkeys(number for number, _ in items))
        known = dict(zip(numbers, self.source.examples.identities(numbers), strict=True))
        for number, view in items:
            found = known[number]
            # An example that has become unreadable is reported when it is read.
            identity = found.reason.encode() if isinstance(found, Bad) else found
            self._digests[number, view] = hashlib.blake2b(identity + f" {view}".encode(), digest_size=16).digest()

    def _missing(self, items: Sequence[Item]) -> list[Item]:
        found = self.space.find([self._digests[item] for item in items])
        self._places.update(zip(items, found, strict=True))
        return [item for item in items if self._places[item]["shard"] < 0]

    def _groups(self, items: Sequence[Item]) -> list[list[Item]]:
        examples = self.source.examples
        groups = batches(examples.sizes([number for number, _ in items]), examples.backbone.batch_size)
        return [[items[place] for place in group] for group in groups]

    def _cut(self, item: Item) -> list[Piece]:
        number, view = item
        changed = bool(view and self.versions)
        rng = hashlib.blake2b(self._digests[item], digest_size=8).hexdigest() if changed else None
        return self.source.pieces(number, bool(view), Random(rng) if rng else None)

    def _prepared(self, items: list[Item]) -> tuple[list[Item], PieceBatch]:
        found = [self._cut(item) for item in items]
        batch = self.source.prepared([number for number, _ in items], found)
        for item, pieces in zip(items, found, strict=True):
            self._pieces[item] = [_light(piece) for piece in pieces]
        return items, batch

    def _compute(self, groups: Iterable[list[Item]], count: int) -> None:
        for items, batch in track(prefetch_map(self._prepared, groups), "Computing what is frozen", count):
            self.space.write(self._rows(items, batch))
        if self.kept.error > self.space.note.get("error", 0.0):
            self.space.remember(error=self.kept.error)

    def _rows(self, items: list[Item], batch: PieceBatch) -> list[Row]:
        reading = self.run(batch)
        segments: dict[int, list[bytes]] = {owner: [] for owner in range(len(items))}
        for row, owner in enumerate(batch.owners):
            segments[owner].append(save(self._tensors(reading, row)))
        return [Row(self._digests[items[owner]], parts, len(parts)) for owner, parts in segments.items()]

    def _tensors(self, reading: Reading, row: int) -> dict[str, Tensor]:
        """What is kept of one piece: without padding, in half precision."""
        found = {f"map {stride}": one[row] for stride, one in reading.maps.items()}
        state, length = reading.state, None
        if state is not None:
            length = None if state.mask is None else int(state.mask[row].sum())
            found["state"] = state.hidden[row] if length is None else state.hidden[row, :length]
        made = {}
        for name, tensor in found.items():
            made[name], error = halved(tensor) if tensor.is_floating_point() else (tensor.contiguous(), 0.0)
            self.kept.error = max(self.kept.error, error)
        if reading.sequence is not None:
            made["mask"], made["spans"] = (one[row, :length].contiguous() for one in reading.sequence)
        made["shape"] = torch.tensor(reading.shape)
        return made

    def _read(self, item: Item) -> tuple[list[Piece], list[Mapping[str, Tensor]]]:
        known = item in self._places
        stored = self.space.read(self._digests[item], self._places[item]) if known else None
        if stored is None:  # of no split that is kept, evicted by another process, or damaged
            if item not in self._digests:
                self._identify([item])
            items, batch = self._prepared([item])
            stored = list(self._rows(items, batch)[0].segments)
        if item not in self._pieces:
            self._pieces[item] = [_light(piece) for piece in self._cut(item)]
        return self._pieces[item], [load(bytes(segment)) for segment in stored]

    def _together(self, rows: Sequence[Mapping[str, Tensor]]) -> Reading:
        """Pieces as one batch, padded with zeros at the end."""
        shape = tuple(max(sizes) for sizes in zip(*(row["shape"].tolist() for row in rows), strict=True))
        maps = {int(name[4:]): stacked([row[name] for row in rows]) for name in rows[0] if name.startswith("map ")}
        state = None
        if "state" in rows[0]:
            hidden = [row["state"] for row in rows]
            lengths = torch.tensor([len(one) for one in hidden])
            mask = torch.arange(int(lengths.max())) < lengths[:, None]
            state = State(stacked(hidden), None if hidden[0].ndim > 2 or bool(mask.all()) else mask)
        sequence = None
        if "spans" in rows[0]:
            sequence = stacked([row["mask"] for row in rows]), stacked([row["spans"] for row in rows])
        return Reading(state, shape, self.begin, maps, sequence)

    def _too_large(self, missing: list[Item]) -> str:
        """Why what is missing cannot be kept; empty if it can. Its size is estimated from one batch."""
        group = self._groups(missing)[0]
        taken = sum(len(segment) for row in self._rows(*self._prepared(group)) for segment in row.segments)
        sizes = self.source.examples.sizes
        needed = taken * sum(sizes([n for n, _ in missing])) / sum(sizes([n for n, _ in group]))
        return no_room(self.cache.store, needed, "The views of the examples")


def _light(piece: Piece) -> Piece:
    """A piece without its value."""
    return replace(piece, value=None)


def stacked(rows: Sequence[Tensor]) -> Tensor:
    """Tensors of different sizes in one, padded with zeros at the end of each dimension."""
    size = [max(sizes) for sizes in zip(*(row.shape for row in rows), strict=True)]

    def padded(row: Tensor) -> Tensor:
        missing = [
            more for want, have in zip(reversed(size), reversed(row.shape), strict=True) for more in (0, want - have)
        ]
        return functional.pad(row, missing) if any(missing) else row

    return torch.stack([padded(row) for row in rows])
