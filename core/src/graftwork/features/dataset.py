"""Features with targets and splits, read in chunks of bounded size; large ones lie in files."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO

import torch
from torch import Tensor

CHUNK = 2**20
"""Numbers of a chunk of features."""

IN_MEMORY = 64 * 2**20
"""Bytes of features from which on they lie in a file of their own, whose pages the system may take back."""


def matrix(rows: int, columns: int) -> Tensor:
    """An empty float32 matrix: in memory, or in a file that goes with it where it is large."""
    if rows * columns * 4 <= IN_MEMORY:
        return torch.empty(rows, columns)
    with _file() as file:
        file.truncate(rows * columns * 4)
        return _mapped(file, columns)


def _file() -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="graftwork-")


def _mapped(file: IO[bytes], columns: int) -> Tensor:
    mapped = mmap.mmap(file.fileno(), 0)
    made = torch.frombuffer(mapped, dtype=torch.float32).view(-1, columns)
    made.mapped = mapped  # pyright: ignore[reportAttributeAccessIssue]  so that `release` knows it from memory
    return made


class RowBuffer:
    """A matrix whose rows come some at a time, as many as there may be: in a file once they are large."""

    def __init__(self) -> None:
        self._waiting: list[Tensor] = []
        self._file: IO[bytes] | None = None

    def add(self, rows: Tensor) -> None:
        """Append float32 `(N, D)`."""
        if sum(part.nbytes for part in self._waiting) > IN_MEMORY:
            self._write()
        self._waiting.append(rows)

    def done(self) -> Tensor:
        """All rows; none can be added any more."""
        if self._file is None:
            return self._waiting[0] if len(self._waiting) == 1 else torch.cat(self._waiting)
        columns = self._waiting[0].shape[1]
        self._write()
        with self._file as file:
            file.flush()
            return _mapped(file, columns)

    def _write(self) -> None:
        self._file = self._file or _file()
        for rows in self._waiting:
            rows.contiguous().numpy().tofile(self._file)
            release(rows)
        self._waiting.clear()


def release(values: Tensor) -> None:
    """Give the pages of a matrix that lies in a file back to the system; they are read again when they are needed."""
    mapped = getattr(values, "mapped", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class FeatureDataset:
    """Examples with what a head is trained towards, their splits, and their pooled features where these were computed.

    values: features `(M, D)` float32 of these and other examples, in memory or in a file; None before they are
    computed. targets: a row for each example, as its task encodes them: `(N,)`, or `(N, K)` dense or sparse (COO).
    rows: the rows of `values` that are theirs `(N,)`; None for all, in order. weights: how much each counts `(N,)`;
    None for alike. numbers: of the examples `(N,)`. splits: the numbers of each split. augmented: for an example to
    train on, the rows of `values` that are of augmented versions of it.
    """

    values: Tensor | None
    targets: Tensor
    rows: Tensor | None = None
    weights: Tensor | None = None
    numbers: Sequence[int] = ()
    splits: Mapping[str, Sequence[int]] = field(default_factory=dict)
    augmented: Mapping[int, Sequence[int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def all_values(self) -> Tensor:
        assert self.values is not None, "features that were not computed"
        return self.values

    @property
    def width(self) -> int:
        """D."""
        return self.all_values.shape[1]

    @property
    def total(self) -> float:
        """The sum of the weights."""
        return float(len(self)) if self.weights is None else float(self.weights.double().sum())

    @property
    def features(self) -> Tensor:
        """Those of all examples at once, `(N, D)`."""
        return self.all_values if self.rows is None else self.all_values[self.rows]

    @cached_property
    def _places(self) -> dict[int, int]:
        return {number: place for place, number in enumerate(self.numbers)}

    def targets_of(self, numbers: Sequence[int]) -> Tensor:
        """The targets of the examples with these numbers."""
        return self.targets[[self._places[number] for number in numbers]]

    def split(self, name: str) -> FeatureDataset:
        """The examples of a split. One with augmented versions weighs as much as one without."""
        places, rows, weights = [], [], []
        for number in self.splits[name]:
            place = self._places[number]
            versions = (place, *(self.augmented.get(number, ()) if name == "train" else ()))
            places += [place] * len(versions)
            rows += versions
            weights += [1 / len(versions)] * len(versions)
        weighted = torch.tensor(weights) if len(places) > len(self.splits[name]) else None
        return FeatureDataset(self.values, self.targets[places], torch.tensor(rows, dtype=torch.long), weighted)

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """Which of the examples, and their features `(n, D)`."""
        values = self.all_values
        step = max(1, CHUNK // max(1, self.width))
        for start in range(0, len(self), step):
            here = slice(start, min(start + step, len(self)))
            yield here, values[here] if self.rows is None else values[self.rows[here]]
            release(values)

    def targets_at(self, here: slice) -> Tensor:
        """The targets of some of the examples."""
        if self.targets.layout == torch.strided:
            return self.targets[here]
        return torch.narrow_copy(self.targets, 0, here.start, here.stop - here.start)

    def __add__(self, other: FeatureDataset) -> FeatureDataset:
        """Both; they must be of the same values."""
        assert self.values is other.values, "features of different matrices"
        rows = [torch.arange(len(side)) if side.rows is None else side.rows for side in (self, other)]
        weighted = None
        if self.weights is not None or other.weights is not None:
            weighted = torch.cat([torch.ones(len(s)) if s.weights is None else s.weights for s in (self, other)])
        return FeatureDataset(self.values, torch.cat([self.targets, other.targets]), torch.cat(rows), weighted)
