"""Examples on their way to a task whose answers lie in the input: read whole, cut into pieces, prepared in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Protocol

import torch

from graftwork.features.examples import Example, Examples
from graftwork.models.backbone import Backbone
from graftwork.models.reading import Reading, Wanted
from graftwork.models.stages import State
from graftwork.specs.contracts import Value
from graftwork.specs.readers import Raw, Window
from graftwork.specs.task import RawLabel


@dataclass(frozen=True)
class WholeExample:
    """An example as it was given, and as it meets the encoder's contract.

    facts: what its header says. value: decoded and converted. label: as the data have it; None if there is none.
    """

    raw: Raw
    facts: Mapping[str, Value]
    value: Any
    label: RawLabel | None = None


@dataclass(frozen=True)
class Piece:
    """What an encoder reads at once of an example.

    value: what `prepare` takes. label: what of the label lies in it, in its own coordinates, as the task's `loss` takes
    it. place: where it lies in the example, as the task's `join` takes it. weight: its share of the example, 0..1.
    """

    value: Any
    label: Any = None
    place: Any = None
    weight: float = 1.0


class Cutter(Protocol):
    """How a task has examples cut into pieces. identity: names all that decides how, and the digest of its code. alike:
    whether training shows the pieces that are asked about, where nothing is changed."""

    @property
    def identity(self) -> str: ...

    @property
    def alike(self) -> bool: ...

    def pieces(self, given: WholeExample, backbone: Backbone) -> list[Piece]: ...

    def training_pieces(self, given: WholeExample, backbone: Backbone, rng: Random | None) -> list[Piece]: ...

    def prepare(self, backbone: Backbone, values: list[Any]) -> State: ...


@dataclass(frozen=True)
class PieceBatch:
    """The pieces of some examples, and how far the encoder has read them.

    owners: for each piece the place of its example in `examples`.
    """

    examples: list[int]
    owners: list[int]
    pieces: list[Piece]
    reading: Reading

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def weights(self) -> list[float]:
        """The share of each piece of its example; they sum to 1."""
        total = [0.0] * len(self.examples)
        for owner, piece in zip(self.owners, self.pieces, strict=True):
            total[owner] += piece.weight
        return [piece.weight / total[owner] for owner, piece in zip(self.owners, self.pieces, strict=True)]

    def parts(self, count: int) -> Iterator[PieceBatch]:
        """The batch some pieces at a time."""
        if len(self.pieces) <= count:
            yield self
            return
        for start in range(0, len(self.pieces), count):
            here = slice(start, start + count)
            yield PieceBatch(self.examples, self.owners[here], self.pieces[here], self.reading.rows(here))

    def to(self, device: torch.device, layout: torch.memory_format = torch.preserve_format) -> PieceBatch:
        return replace(self, reading=self.reading.to(device, layout))


class WholeExamples(Examples):
    """Examples as they meet the encoder's contract, however long or large."""

    def read(self, number: int) -> Example:
        if number in self._kept:
            return self._kept[number]
        _, value = self.pipeline.whole(self.raws[number])
        parts = [Window(value, 1.0)]
        found = Example(parts, self.pipeline.measure(parts))
        if self._room > 0:
            self._room -= self.pipeline.memory(value)
            self._kept[number] = found
        return found


@dataclass(frozen=True)
class PieceExamples:
    """Examples in pieces. labels: of each number; empty where they are asked about. what: how far they are read."""

    examples: WholeExamples
    cutter: Cutter
    what: Wanted
    labels: Mapping[int, RawLabel]

    def pieces(self, number: int, training: bool = False, rng: Random | None = None) -> list[Piece]:
        """The pieces of an example. training: as training shows it. rng: draws how it is changed."""
        examples, backbone = self.examples, self.examples.backbone
        raw = examples.raws[number]
        value = examples.read(number).parts[0].value
        given = WholeExample(raw, examples.pipeline.reader.facts(raw), value, self.labels.get(number))
        return self.cutter.training_pieces(given, backbone, rng) if training else self.cutter.pieces(given, backbone)

    def batch(self, numbers: Sequence[int], training: bool = False, seed: str | None = None) -> PieceBatch:
        """Examples prepared as one batch. seed: of how they are changed, with the number of each; None for not."""
        found = [self.pieces(n, training, None if seed is None else Random(f"{seed} {n}")) for n in numbers]
        return self.prepared(numbers, found)

    def prepared(self, numbers: Sequence[int], found: Sequence[Sequence[Piece]]) -> PieceBatch:
        """The pieces of examples prepared as one batch."""
        owners = [place for place, pieces in enumerate(found) for _ in pieces]
        pieces = [piece for some in found for piece in some]
        state = self.cutter.prepare(self.examples.backbone, [piece.value for piece in pieces])
        return PieceBatch(list(numbers), owners, pieces, Reading.of(state, self.what))
