"""Examples on their way to a stage: read once, kept while memory lasts, prepared into batches."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graftwork.data.pipeline import Pipeline
from graftwork.data.reading import Bad
from graftwork.errors import Unreadable
from graftwork.features.long_inputs import LongInputs, check_long
from graftwork.models.backbone import Backbone
from graftwork.models.stages import State
from graftwork.models.transfer import Forked
from graftwork.plugins.code_digest import core, made_by
from graftwork.runtime.parallel import prefetch_map
from graftwork.specs.defects import TRUNCATED, DefectCount, place_of
from graftwork.specs.modality import Modality
from graftwork.specs.readers import Raw, Window

MOST_ROWS = 512
CHUNK = 64
"""The number of examples that a thread identifies at a time."""

MEASURED, BESIDE = 64 * 2**20, 600
"""Bytes of examples that stay in memory from when they were measured to when they are used, and what Python needs for
each beside its value."""

Augmentation = Callable[[Any, random.Random], Any]


@dataclass(frozen=True)
class Batch:
    """Examples by number, and the state of their rows before stage `begin`.

    A row is an example or a window of one. With windows, `example_index` `(R,)` holds the place of each row's example
    in `examples`, and `window_weight` `(R,)` the weight of each row; else both are None.
    """

    examples: list[int]
    state: State
    begin: int = 0
    example_index: Tensor | None = None
    window_weight: Tensor | None = None

    def __len__(self) -> int:
        return len(self.examples)

    def to(self, device: torch.device, layout: torch.memory_format = torch.preserve_format) -> Batch:
        """The batch on a device; hidden values kept in half precision become float32."""
        hidden = self.state.hidden.to(device, non_blocking=True)
        if hidden.is_floating_point():
            hidden = hidden.float()
        if hidden.ndim == 4:
            hidden = hidden.to(memory_format=layout)
        moved = [
            None if t is None else t.to(device, non_blocking=True) for t in (self.example_index, self.window_weight)
        ]
        return Batch(self.examples, State(hidden, self.state.mask).to(device), self.begin, *moved)


@dataclass(frozen=True)
class Example:
    """The windows of an example that are read (`parts`), with their weights, and the share of it (0..1) that each of
    its defects affects, by name.
    """

    parts: list[Window]
    defects: Mapping[str, float]


@dataclass(frozen=True)
class Scan:
    """Every example read once: the numbers of usable ones, the number and reason of the others, the long inputs and
    the defects among the usable ones.
    """

    kept: list[int]
    bad: list[tuple[int, Bad]]
    long: LongInputs
    defects: tuple[DefectCount, ...]


class Examples:
    """The examples of a fit or a prediction, by number.

    stored: whether they are read as they are stored, so that another decoder may stand in for the reader.
    long: "truncate" reads the first window of an example that has several, "windows" all of them.
    keep: the bytes of decoded examples that may stay in memory.
    """

    stored = True

    def __init__(
        self,
        backbone: Backbone,
        pipeline: Pipeline,
        raws: Sequence[Raw],
        *,
        long: str = "truncate",
        keep: int = 0,
    ) -> None:
        check_long(long)
        self.backbone = backbone
        self.raws = raws
        self.long = long
        self.pipeline = pipeline
        self.defects = (TRUNCATED, *pipeline.defects)
        self._surveyed = np.zeros((len(raws), len(self.defects)), np.float32)
        self._room = max(keep, MEASURED if backbone.measures else 0)
        self._kept: dict[int, Example] = {}
        self._sizes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.raws)

    def identities(self, numbers: Sequence[int]) -> list[bytes | Bad]:
        """Cache key of each example, or a `Bad` if it cannot be read."""

        def some(chunk: Sequence[int]) -> list[bytes | Bad]:
            found: list[bytes | Bad] = []
            for number in chunk:
                try:
                    found.append(self.pipeline.identity(self.raws[number]))
                except Unreadable as error:
                    found.append(Bad.of(self.raws[number].name, error))
            return found

        chunks = [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]
        # Threads help to wait for files; with values in memory they would only compete for the interpreter.
        run = map if numbers and self.raws[numbers[0]].path is None else prefetch_map
        return [item for chunk in run(some, chunks) for item in chunk]

    @property
    def about(self) -> dict[str, Any]:
        """What decides the features besides the examples, the weights and the rounding, as JSON values."""
        spec = self.backbone.spec
        made = {"backbone": made_by(spec.factory), "core": core(), **self.pipeline.about}
        return {
            "contract": spec.contract.as_json(),
            "config": repr(spec.config),
            "long": self.long,
            "defects": [defect.name for defect in self.defects],
            "code": made,
        }

    def sizes(self, numbers: Sequence[int], pool: Forked | None = None) -> list[float]:
        """The size of the computation for each of these examples, in the unit of the backbone's `batch_size`; measured
        in threads, or by processes whose `measure` is `measured`."""
        if self._sizes is None:
            self._sizes = np.full(len(self.raws), np.nan, np.float32)
        unknown = [number for number in numbers if np.isnan(self._sizes[number])]
        step = 4 * CHUNK if pool else CHUNK
        chunks = [unknown[start : start + step] for start in range(0, len(unknown), step)]
        found = pool.map("measure", chunks) if pool else prefetch_map(self.measured, chunks)
        for chunk, (sizes, shares) in zip(chunks, found, strict=True):
            self._sizes[chunk], self._surveyed[chunk] = sizes, shares
        return self._sizes[list(numbers)].tolist()

    def measured(self, numbers: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """The sizes of these examples `(N,)`, and the shares of the defects that the backbone measures `(N, K)`."""
        sizes, shares = np.zeros(len(numbers)), np.zeros((len(numbers), len(self.defects)))
        values: list[Any] = []
        weights: list[float] = []
        example_index: list[int] = []
        for place, number in enumerate(numbers):
            try:
                if self.backbone.measures:
                    parts = self.read(number).parts
                    values += [part.value for part in parts]
                    weights += [part.weight for part in parts]
                    example_index += [place] * len(parts)
                else:
                    sizes[place] = self.pipeline.reader.size(self.raws[number])
            except Unreadable:  # reported when it is read for use
                continue
        if values:
            counts, found = self.backbone.survey(values)
            sizes = np.bincount(example_index, counts, len(numbers))
            whole = np.bincount(example_index, weights, len(numbers))
            for name, of_values in found.items():
                affected = np.bincount(example_index, np.multiply(of_values, weights), len(numbers))
                shares[:, self._column(name)] = affected / np.where(whole, whole, 1)
        return sizes.clip(1), shares

    def _column(self, name: str) -> int:
        return place_of(name, self.defects, f"'{self.backbone.spec.name}'")

    def shares(self, number: int, example: Example) -> np.ndarray:
        """The share of each of `defects` in an example as it was read, `(K,)` float32."""
        shares = self._surveyed[number].copy()
        for name, share in example.defects.items():
            shares[self._column(name)] = share
        return shares

    def name(self, number: int) -> str:
        return self.pipeline.reader.show(self.raws[number])

    def read(self, number: int) -> Example:
        """The windows of an example. Raises `Unreadable`."""
        if number in self._kept:
            return self._kept[number]
        windows = self.pipeline(self.raws[number])
        if self.long == "truncate":
            # The value stays whole: `prepare` truncates it as the encoder's own library does.
            first = windows[0]
            weight = first.weight * self.backbone.windows(first.value)[0].weight
            parts, truncated = [Window(first.value, weight)], 1 - weight
        else:
            inner = [(self.backbone.windows(window.value), window.weight) for window in windows]
            parts = [Window(part.value, part.weight * weight) for parts, weight in inner for part in parts]
            truncated = 0.0
        found = Example(parts, {**self.pipeline.measure(parts), TRUNCATED.name: truncated})
        if self._room > 0:
            # Threads may overshoot the limit a little, which does no harm.
            self._room -= sum(self.pipeline.memory(part.value) + BESIDE for part in found.parts)
            self._kept[number] = found
        return found

    def file(self, number: int, takes: Callable[[bytes], bool]) -> bytes | None:
        """The file of an example that meets the contract as it is, if `takes` says so; None for any other."""
        raw = self.raws[number]
        if raw.part is not None or raw.companions or raw.is_folder or not (raw.path or isinstance(raw.value, bytes)):
            return None
        try:
            content = raw.content()
            as_it_is = takes(content) and self.pipeline.as_it_is(replace(raw, value=content))
        except (OSError, Unreadable):  # reported when it is read
            return None
        return content if as_it_is else None

    def scan(self) -> Scan:
        """Read every example once, without computing features."""

        def one(number: int) -> tuple[int, np.ndarray] | Bad:
            try:
                found = self.read(number)
            except Unreadable as error:
                return Bad.of(self.raws[number].name, error)
            return len(found.parts), self.shares(number, found)

        if self.backbone.measures:
            self.sizes(range(len(self)))
        kept, bad, parts, shares = [], [], [], []
        for number, found in enumerate(prefetch_map(one, range(len(self)))):
            if isinstance(found, Bad):
                bad.append((number, found))
            else:
                kept.append(number)
                parts.append(found[0])
                shares.append(found[1])
        table = np.array(shares, np.float32).reshape(len(kept), len(self.defects))
        return Scan(kept, bad, self.long_inputs(parts, table), self.count_defects(kept, table))

    def long_inputs(self, parts: Sequence[int], shares: np.ndarray) -> LongInputs:
        """The long ones among examples of so many windows each, of which `shares` `(N, K)` are affected."""
        long_ones = np.flatnonzero((np.asarray(parts) > 1) | (shares[:, 0] > 0))
        return LongInputs.of(self.long, [(parts[row], float(shares[row, 0])) for row in long_ones.tolist()])

    def count_defects(self, numbers: Sequence[int], shares: np.ndarray) -> tuple[DefectCount, ...]:
        """Sum up the shares `(N, K)` of the examples with these numbers, in ascending order."""
        counts = []
        for defect, column in zip(self.defects, shares.T, strict=True):
            affected = np.flatnonzero(column > defect.threshold)
            if len(affected):
                mean = float(column[affected].mean(dtype=np.float64))
                counts.append(DefectCount(defect, len(affected), mean, self.name(numbers[affected[0]])))
        return tuple(counts)

    def notes(self, shares: np.ndarray) -> list[str]:
        """What is lost of one example with these shares `(K,)`, in words."""
        return [
            defect.said(share)
            for defect, share in zip(self.defects, shares.tolist(), strict=True)
            if share > defect.threshold
        ]

    def batch(self, numbers: Sequence[int]) -> Batch:
        """Prepare examples as one batch."""
        rows = [(place, part) for place, number in enumerate(numbers) for part in self.read(number).parts]
        state = self.backbone.prepare([part.value for _, part in rows])
        return assemble(list(numbers), state, [(place, part.weight) for place, part in rows])


class AugmentedExamples(Examples):
    """The same examples, augmented at random; `seed` gives the random seed of an example by its number."""

    stored = False

    def __init__(self, of: Examples, change: Augmentation, seed: Callable[[int], str]) -> None:
        super().__init__(of.backbone, of.pipeline, of.raws, long=of.long)
        self._of, self._change, self._seed = of, change, seed

    def sizes(self, numbers: Sequence[int], pool: Forked | None = None) -> list[float]:
        return self._of.sizes(numbers, pool)

    def measured(self, numbers: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        return self._of.measured(numbers)

    def read(self, number: int) -> Example:
        found = self._of.read(number)
        changed = [self._changed(number, part) for part in found.parts]
        return Example(changed, found.defects)

    def _changed(self, number: int, part: Window) -> Window:
        return Window(self._change(part.value, random.Random(self._seed(number))), part.weight)


@dataclass(frozen=True)
class CachedAugmentations:
    """`count` augmented views per example, made by `change`. modality: the one that brings `change`."""

    change: Augmentation
    count: int
    modality: Modality

    def of(self, examples: Examples) -> list[Examples]:
        """The examples in each view; the view and the example alone decide the random changes."""
        known: dict[int, bytes | Bad] = {}
        return [AugmentedView(examples, self, number + 1, known) for number in range(self.count)]


class AugmentedView(AugmentedExamples):
    """The same examples in one view. known: identities of the unchanged examples, shared by all views."""

    def __init__(self, of: Examples, views: CachedAugmentations, number: int, known: dict[int, bytes | Bad]) -> None:
        super().__init__(of, views.change, lambda number: self._identity(number).hex())
        augment = views.modality.augment
        self._mark = f"{number} {made_by(augment)} {augment}".encode()
        self._known = known

    def identities(self, numbers: Sequence[int]) -> list[bytes | Bad]:
        new = [number for number in numbers if number not in self._known]
        self._known.update(zip(new, self._of.identities(new), strict=True))
        return [item if isinstance(item := self._known[n], Bad) else self._identity(n) for n in numbers]

    def _identity(self, number: int) -> bytes:
        if number not in self._known:
            self._known[number] = self._of.identities([number])[0]
        found = self._known[number]
        # An example that has become unreadable is reported when it is read.
        identity = found.reason.encode() if isinstance(found, Bad) else found
        return hashlib.blake2b(identity + self._mark, digest_size=16).digest()


def pad(rows: Sequence[Tensor]) -> State:
    """Sequences `(T, D)` of different lengths as one state, padded with zeros at the end."""
    lengths = torch.tensor([len(row) for row in rows])
    hidden = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    mask = torch.arange(hidden.shape[1]) < lengths[:, None]
    return State(hidden, None if bool(mask.all()) else mask)


def assemble(numbers: list[int], state: State, rows: Sequence[tuple[int, float]], begin: int = 0) -> Batch:
    """A batch of rows, each given by the place of its example and its weight; weights are scaled to sum to 1 per
    example.
    """
    if len(rows) == len(numbers):
        return Batch(numbers, state, begin)
    read = [0.0] * len(numbers)
    for place, weight in rows:
        read[place] += weight
    example_index = torch.tensor([place for place, _ in rows])
    return Batch(numbers, state, begin, example_index, torch.tensor([weight / read[place] for place, weight in rows]))


def batches(sizes: Sequence[float], budget: int) -> list[list[int]]:
    """Indices grouped into batches, the largest example first; the padded size of a batch stays within `budget`."""
    order = sorted(range(len(sizes)), key=lambda i: (-sizes[i], i))
    made: list[list[int]] = []
    for index in order:
        rows = len(made[-1]) if made else 0
        if rows and rows < MOST_ROWS and (rows + 1) * sizes[made[-1][0]] <= budget:
            made[-1].append(index)
        else:
            made.append([index])
    return made
