"""Examples on their way to a stage: read once, kept while memory lasts, prepared into batches."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graftwork.data.pipeline import Pipeline
from graftwork.data.reading import Bad
from graftwork.errors import Unreadable, UsageError
from graftwork.models.backbone import Backbone
from graftwork.models.stages import State
from graftwork.plugins.code_digest import core, made_by
from graftwork.runtime.parallel import prefetch_map
from graftwork.specs.contracts import show
from graftwork.specs.modality import Modality
from graftwork.specs.readers import Raw, Window

MOST_ROWS = 512
CHUNK = 64
"""How many examples a thread identifies at a time."""

Augmentation = Callable[[Any, random.Random], Any]


@dataclass(frozen=True)
class Batch:
    """Examples by number, and the state of their rows before stage `begin`.

    A row is an example, or a window of one: then `example_index` `(R,)` are the places in `examples` that rows belong
    to and `window_weight` `(R,)` their weights; else both are None.
    """

    examples: list[int]
    state: State
    begin: int = 0
    example_index: Tensor | None = None
    window_weight: Tensor | None = None

    def __len__(self) -> int:
        return len(self.examples)

    def to(self, device: torch.device, layout: torch.memory_format = torch.preserve_format) -> Batch:
        """On a device, and in float32 what is kept in less."""
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
    """The parts of an example that are read, with their window_weight, and how much of it is not read (0 to 1)."""

    parts: list[Window]
    truncated: float


@dataclass(frozen=True)
class LongInputs:
    """What became of the examples that are too long for the encoder: cut ("truncate") or read in windows ("windows").

    examples: how many they are; windows: in how many parts they were read; truncated: the mean part of them that was
    not.
    """

    mode: str
    examples: int = 0
    windows: int = 0
    truncated: float = 0.0

    @classmethod
    def of(cls, mode: str, seen: Sequence[tuple[int, float]]) -> LongInputs:
        """From the number of parts, and the part that was not read, of each example."""
        long_ones = [(parts, truncated) for parts, truncated in seen if truncated > 0 or parts > 1]
        count = len(long_ones)
        lost = sum(truncated for _, truncated in long_ones)
        return cls(mode, count, sum(parts for parts, _ in long_ones), round(lost / count, 4) if count else 0.0)

    def __add__(self, other: LongInputs) -> LongInputs:
        count = self.examples + other.examples
        lost = self.examples * self.truncated + other.examples * other.truncated
        return LongInputs(self.mode, count, self.windows + other.windows, round(lost / count, 4) if count else 0.0)

    def warnings(self, total: int, items: str) -> tuple[str, ...]:
        if not self.examples:
            return ()
        which = f"{show(self.examples)} of {show(total)} {items}: more than the encoder reads at once, so "
        if self.mode == "truncate":
            return (f"{which}cut; {self.truncated:.0%} of what they hold is not read. Read all of it: --long windows",)
        return (f"{which}read in {show(self.windows)} windows whose features are averaged",)


def check_long(word: str) -> None:
    """Raises `UsageError` for a way with long examples that is not known."""
    if word not in ("truncate", "windows"):
        raise UsageError(f"--long {word} is not known; truncate and windows are.", "Write: --long windows")


class Examples:
    """The examples of a fit or a prediction, by number.

    long: "truncate" reads the first window of an example that has several, "windows" all of them.
    keep: how many bytes of decoded examples may stay in memory after they were read.
    """

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
        self._room = keep
        self._kept: dict[int, Example] = {}
        self._sizes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.raws)

    def identities(self, numbers: Sequence[int]) -> list[bytes | Bad]:
        """What tells apart whatever may be read otherwise, for each of these examples, or why it cannot be read."""

        def some(chunk: Sequence[int]) -> list[bytes | Bad]:
            found: list[bytes | Bad] = []
            for number in chunk:
                try:
                    found.append(self.pipeline.identity(self.raws[number]))
                except Unreadable as error:
                    found.append(Bad(self.raws[number].name, str(error)))
            return found

        chunks = [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]
        # Files are waited for in threads; what is in memory would only wait for its turn there.
        run = map if numbers and self.raws[numbers[0]].path is None else prefetch_map
        return [item for chunk in run(some, chunks) for item in chunk]

    @property
    def about(self) -> dict[str, Any]:
        """What decides the features besides the examples, the weights and the rounding, as JSON can say it."""
        spec = self.backbone.spec
        made = {"backbone": made_by(spec.factory), "core": core(), **self.pipeline.about}
        return {"contract": spec.contract.as_json(), "config": repr(spec.config), "long": self.long, "code": made}

    def sizes(self, numbers: Sequence[int]) -> list[float]:
        """How much there is to compute of each of these examples, in the unit of the backbone's `batch_size`."""
        if self._sizes is None:
            self._sizes = np.full(len(self.raws), np.nan, np.float32)
        unknown = [number for number in numbers if np.isnan(self._sizes[number])]
        chunks = [unknown[start : start + CHUNK] for start in range(0, len(unknown), CHUNK)]
        for chunk, found in zip(chunks, prefetch_map(self._measured, chunks), strict=True):
            self._sizes[chunk] = found
        return self._sizes[list(numbers)].tolist()

    def _measured(self, numbers: Sequence[int]) -> np.ndarray:
        sizes = np.zeros(len(numbers))
        values: list[Any] = []
        example_index: list[int] = []
        for place, number in enumerate(numbers):
            try:
                if self.backbone.measures:
                    parts = self.read(number).parts
                    values += [part.value for part in parts]
                    example_index += [place] * len(parts)
                else:
                    sizes[place] = self.pipeline.reader.size(self.raws[number])
            except Unreadable:  # is said where it is read to be used
                continue
        if values:
            sizes = np.bincount(example_index, self.backbone.measure(values), len(numbers))
        return sizes.clip(1)

    def name(self, number: int) -> str:
        return self.pipeline.reader.show(self.raws[number])

    def read(self, number: int) -> Example:
        """Raises `Unreadable`."""
        if number in self._kept:
            return self._kept[number]
        windows = self.pipeline(self.raws[number])
        if self.long == "truncate":
            # What the encoder itself can cut stays whole: `prepare` cuts it as the encoder's own library does.
            first = windows[0]
            share = first.weight * self.backbone.windows(first.value)[0].weight
            found = Example([Window(first.value, share)], 1 - share)
        else:
            inner = [(self.backbone.windows(window.value), window.weight) for window in windows]
            found = Example([Window(part.value, part.weight * share) for parts, share in inner for part in parts], 0.0)
        if self._room > 0:
            # Threads may take a little more than there is room for, which does no harm.
            self._room -= sum(self.pipeline.memory(part.value) for part in found.parts)
            self._kept[number] = found
        return found

    def scan(self) -> tuple[list[int], list[tuple[int, Bad]], LongInputs]:
        """Read everything once: the numbers that can be used, those that cannot and why, and what is too long."""

        def one(number: int) -> tuple[int, float] | Bad:
            try:
                found = self.read(number)
            except Unreadable as error:
                return Bad(self.raws[number].name, str(error))
            return len(found.parts), found.truncated

        kept, bad, seen = [], [], []
        for number, found in enumerate(prefetch_map(one, range(len(self)))):
            if isinstance(found, Bad):
                bad.append((number, found))
            else:
                kept.append(number)
                seen.append(found)
        return kept, bad, LongInputs.of(self.long, seen)

    def batch(self, numbers: Sequence[int]) -> Batch:
        """Prepare examples as one batch."""
        rows = [(place, part) for place, number in enumerate(numbers) for part in self.read(number).parts]
        state = self.backbone.prepare([part.value for _, part in rows])
        return assemble(list(numbers), state, [(place, part.weight) for place, part in rows])


class AugmentedExamples(Examples):
    """The same examples, each changed by chance, which `seed` of its number fixes."""

    def __init__(self, of: Examples, change: Augmentation, seed: Callable[[int], str]) -> None:
        super().__init__(of.backbone, of.pipeline, of.raws, long=of.long)
        self._of, self._change, self._seed = of, change, seed

    def sizes(self, numbers: Sequence[int]) -> list[float]:
        return self._of.sizes(numbers)

    def read(self, number: int) -> Example:
        found = self._of.read(number)
        changed = [self._changed(number, part) for part in found.parts]
        return Example(changed, found.truncated)

    def _changed(self, number: int, part: Window) -> Window:
        return Window(self._change(part.value, random.Random(self._seed(number))), part.weight)


@dataclass(frozen=True)
class CachedAugmentations:
    """How examples are changed by chance: `change`, in `count` views each; modality: whose change it is."""

    change: Augmentation
    count: int
    modality: Modality

    def of(self, examples: Examples) -> list[Examples]:
        """The examples in each view; what chance does in one follows from the view and the example alone."""
        known: dict[int, bytes | Bad] = {}
        return [AugmentedView(examples, self, number + 1, known) for number in range(self.count)]


class AugmentedView(AugmentedExamples):
    """The same examples in one view. known: what tells the unchanged ones apart, shared by all views."""

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
        # One that became unreadable since is said so when it is read.
        identity = found.reason.encode() if isinstance(found, Bad) else found
        return hashlib.blake2b(identity + self._mark, digest_size=16).digest()


def pad(rows: Sequence[Tensor]) -> State:
    """Sequences `(T, D)` of many lengths as one state, zeros behind the shorter ones."""
    lengths = torch.tensor([len(row) for row in rows])
    hidden = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    mask = torch.arange(hidden.shape[1]) < lengths[:, None]
    return State(hidden, None if bool(mask.all()) else mask)


def assemble(numbers: list[int], state: State, rows: Sequence[tuple[int, float]], begin: int = 0) -> Batch:
    """A batch of rows, each with the place of its example and its share of what is read of that example."""
    if len(rows) == len(numbers):
        return Batch(numbers, state, begin)
    read = [0.0] * len(numbers)
    for place, share in rows:
        read[place] += share
    example_index = torch.tensor([place for place, _ in rows])
    return Batch(numbers, state, begin, example_index, torch.tensor([share / read[place] for place, share in rows]))


def batches(sizes: Sequence[float], budget: int) -> list[list[int]]:
    """Indices, the largest example first, cut so that the padded size of a batch stays within `budget`."""
    order = sorted(range(len(sizes)), key=lambda i: (-sizes[i], i))
    made: list[list[int]] = []
    for index in order:
        rows = len(made[-1]) if made else 0
        if rows and rows < MOST_ROWS and (rows + 1) * sizes[made[-1][0]] <= budget:
            made[-1].append(index)
        else:
            made.append([index])
    return made
