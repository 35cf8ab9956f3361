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
"""The number of float32 values in a chunk of features."""

IN_MEMORY = 64 * 2**20
"""Features of more bytes than this lie in a file, whose pages the system may take back."""


def matrix(rows: int, columns: int) -> Tensor:
    """An uninitialised float32 matrix: in memory, or if it is large, in a temporary file that is deleted with it."""
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
    made.mapped = mapped  # pyright: ignore[reportAttributeAccessIssue]  so that `release` knows that it lies in a file
    return made


class RowBuffer:
    """Collects the rows of a matrix of unknown length; in a file once they are large."""

    def __init__(self) -> None:
        self._waiting: list[Tensor] = []
        self._file: IO[bytes] | None = None

    def add(self, rows: Tensor) -> None:
        """Append float32 `(N, D)`."""
        if sum(part.nbytes for part in self._waiting) > IN_MEMORY:
            self._write()
        self._waiting.append(rows)

    def done(self) -> Tensor:
        """The matrix of all rows, `(N, D)`; no row can be added any more."""
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
    """Give the memory pages of a matrix that lies in a file back to the system; they are read again on use."""
    mapped = getattr(values, "mapped", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class FeatureDataset:
    """Examples with their targets, splits, and pooled features if these were computed.

    values: features `(M, D)` float32 of these and other examples, in memory or in a file; None before they are
    computed. targets: a row per example, as its task encodes them: `(N,)`, or `(N, K)` dense or sparse (COO).
    rows: the row of `values` of each example `(N,)`; None for all, in order. weights: the weight of each example
    `(N,)`; None for equal ones. numbers: the numbers of the examples `(N,)`. splits: the numbers in each split.
    augmented: for a training example, the rows of `values` with its augmented versions.
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
        """The features of all examples at once, `(N, D)`."""
        return self.all_values if self.rows is None else self.all_values[self.rows]

    @cached_property
    def _places(self) -> dict[int, int]:
        return {number: place for place, number in enumerate(self.numbers)}

    def targets_of(self, numbers: Sequence[int]) -> Tensor:
        """The targets of the examples with these numbers."""
        return self.targets[[self._places[number] for number in numbers]]

    def split(self, name: str) -> FeatureDataset:
        """The examples of a split. An example with augmented versions has the same total weight as one without."""
        places, rows, weights = [], [], []
        for number in self.splits[name]:
            place = self._places[number]
            versions = (place, *(self.augmented.get(number, ()) if name == "train" else ()))
            places += [place] * len(versions)
            rows += versions
            weights += [1 / len(versions)] * len(versions)
        weighted = torch.tensor(weights) if len(places) > len(self.splits[name]) else None
        return FeatureDataset(self.values, self.targets[places], torch.tensor(rows, dtype=torch.long), weighted)

    def slices(self, size: int = CHUNK) -> list[slice]:
        """The examples in order, in slices of at most `size` values (of one example at least)."""
        step = max(1, size // max(1, self.width))
        return [slice(start, min(start + step, len(self))) for start in range(0, len(self), step)]

    def features_at(self, here: slice) -> Tensor:
        """The features of a slice of the examples, `(n, D)`."""
        return self.all_values[here] if self.rows is None else self.all_values[self.rows[here]]

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield chunks of the examples: their slice, and their features `(n, D)`."""
        for here in self.slices():
            yield here, self.features_at(here)
            release(self.all_values)

    def targets_at(self, here: slice) -> Tensor:
        """The targets of a slice of the examples."""
        if self.targets.layout == torch.strided:
            return self.targets[here]
        return torch.narrow_copy(self.targets, 0, here.start, here.stop - here.start)

    def __add__(self, other: FeatureDataset) -> FeatureDataset:
        """The examples of both, which must share `values`."""
        assert self.values is other.values, "features of different matrices"
        rows = [torch.arange(len(side)) if side.rows is None else side.rows for side in (self, other)]
        weighted = None
        if self.weights is not None or other.weights is not None:
            weighted = torch.cat([torch.ones(len(s)) if s.weights is None else s.weights for s in (self, other)])
        return FeatureDataset(self.values, torch.cat([self.targets, other.targets]), torch.cat(rows), weighted)
