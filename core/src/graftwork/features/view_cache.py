"""What frozen stages make of the pieces of examples, computed once and kept in the feature store in half precision."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import functional

from graftwork.data.reading import Bad
from graftwork.features.extraction import Cache
from graftwork.features.kept import Item, Kept, KeptRows, halved
from graftwork.features.pieces import Piece, PieceBatch, PieceExamples
from graftwork.features.store import Row
from graftwork.models.precision import rounding
from graftwork.models.reading import Reading
from graftwork.models.stages import State

Run = Callable[[PieceBatch], Reading]


@dataclass
class ViewCache(KeptRows[PieceBatch]):
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
        super().__init__(self.cache.store.space(about))
        self._pieces: dict[Item, list[Piece]] = {}

    def precompute(self, train: Sequence[int], others: Sequence[int]) -> str:
        """Compute and keep what is missing. Returns an empty string, or a sentence that says why nothing is kept."""
        items = [(number, view) for view in self._views for number in train] + [(number, 0) for number in others]
        return self._keep(items, self.source.examples, "The views of the examples")

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
        stored = self._stored(item)
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
