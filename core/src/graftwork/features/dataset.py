"""Some of the examples that features were computed of, with what they are to become; read in chunks of bounded size."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
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
class Part:
    """Examples to train or judge on.

    values: pooled features `(M, D)` float32 of these and other examples, in memory or in a file.
    targets: what each is to become, class numbers `(N,)` or values `(N, K)`, dense or sparse (COO).
    rows: the rows of `values` that are theirs `(N,)`; None for all, in order.
    weights: how much each counts `(N,)`; None for alike.
    """

    values: Tensor
    targets: Tensor
    rows: Tensor | None = None
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def width(self) -> int:
        return self.values.shape[1]

    @property
    def total(self) -> float:
        """The sum of the weights."""
        return float(len(self)) if self.weights is None else float(self.weights.double().sum())

    @property
    def features(self) -> Tensor:
        """All of them at once, `(N, D)`."""
        return self.values if self.rows is None else self.values[self.rows]

    def at(self, chosen: Tensor) -> Part:
        """The examples at these places `(n,)`."""
        rows = chosen if self.rows is None else self.rows[chosen]
        return Part(self.values, self.targets[chosen], rows, None if self.weights is None else self.weights[chosen])

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """Which of the examples, and their features `(n, D)`."""
        step = max(1, CHUNK // max(1, self.width))
        for start in range(0, len(self), step):
            here = slice(start, min(start + step, len(self)))
            yield here, self.values[here] if self.rows is None else self.values[self.rows[here]]
            release(self.values)

    def targets_at(self, here: slice) -> Tensor:
        """The targets of some of the examples."""
        if self.targets.layout == torch.strided:
            return self.targets[here]
        return torch.narrow_copy(self.targets, 0, here.start, here.stop - here.start)

    def __add__(self, other: Part) -> Part:
        """Both; they must be of the same values."""
        assert self.values is other.values, "parts of different features"
        rows = [torch.arange(len(part)) if part.rows is None else part.rows for part in (self, other)]
        weighted = None
        if self.weights is not None or other.weights is not None:
            weighted = torch.cat([torch.ones(len(p)) if p.weights is None else p.weights for p in (self, other)])
        return Part(self.values, torch.cat([self.targets, other.targets]), torch.cat(rows), weighted)
