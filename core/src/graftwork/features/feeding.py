"""Batches for frozen stages, read and prepared in advance: in threads, or in processes that feed a GPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from graftwork.data.reading import Bad
from graftwork.errors import Unreadable
from graftwork.features.examples import Example, Examples, batches
from graftwork.models.decoding import BatchDecoder
from graftwork.models.stages import State
from graftwork.models.transfer import Forked, beside, can_fork, pinned
from graftwork.runtime.parallel import prefetch_map
from graftwork.specs.readers import Window

MANY, FEEDERS = 500, 3
"""Examples from which processes read them for a GPU, and the threads that take their batches over."""

COMPARED, LOOKS = 16, 4
"""Examples that a decoder is held to the reader by, and the batches that are looked through for them."""


@dataclass(frozen=True)
class Files:
    """Examples whose files a decoder takes: their places, and the files one after the other, uint8, of these sizes."""

    places: list[int]
    content: Tensor
    sizes: list[int]


@dataclass(frozen=True)
class Read:
    """A batch as read: its places among the chosen examples, and their window counts (`parts`) and shares of defects.

    states: prepared states, each with the example of every row (its position in `places`) and the row weights; bad: the
    places of unreadable ones, and why; files: what is still to be decoded.
    """

    places: list[int] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    shares: list[list[float]] = field(default_factory=list)
    states: list[tuple[State, list[int], list[float]]] = field(default_factory=list)
    bad: list[tuple[int, Bad]] = field(default_factory=list)
    files: Files | None = None


class Feed:
    """Reads the chosen examples for a device, in batches of a size within `budget`. A place is a position among the
    chosen numbers.

    decode: decodes the files that it takes, where examples are read as they are stored; None for the reader alone.
    """

    def __init__(
        self,
        examples: Examples,
        chosen: Sequence[int],
        budget: int,
        device: torch.device,
        decode: BatchDecoder | None = None,
    ) -> None:
        self.examples, self.chosen, self.budget, self.device = examples, chosen, budget, device
        self.decode = decode if examples.stored else None
        self._pool: Forked | None = None
        self._grouped: tuple[int, list[int], list[list[int]]] = budget, [], []

    def __enter__(self) -> Self:
        # Threads hold the interpreter's lock for longer than a GPU computes.
        if self.device.type == "cuda" and len(self.chosen) >= MANY and can_fork():
            self._pool = Forked(read=self._read, measure=self.examples.measured)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.close()

    def groups(self, places: Sequence[int]) -> list[list[int]]:
        """Places of similar size together, the largest first."""
        budget, known, groups = self._grouped
        if budget != self.budget or known != places:
            sizes = self.examples.sizes([self.chosen[place] for place in places], self._pool)
            groups = [[places[i] for i in group] for group in batches(sizes, self.budget)]
            self._grouped = self.budget, list(places), groups
        return groups

    def batches(self, groups: Iterable[list[int]], count: int) -> Iterator[Read]:
        """The batches of these groups, of which there are `count` at the most, in order."""
        if self._pool is not None and count > 1:
            return prefetch_map(self._made_ready, self._pool.map("read", groups), threads=FEEDERS)
        return prefetch_map(self, groups)

    def __call__(self, places: Sequence[int]) -> Read:
        """One batch."""
        return self._made_ready(self._read(places))

    @torch.inference_mode()
    def both_ways(self, places: Sequence[int]) -> tuple[State, State] | None:
        """Some examples as the reader and as the decoder prepare them; None if the decoder takes none of those that are
        looked at."""
        for group in self.groups(places)[:LOOKS]:
            files = self._files(group[:COMPARED])
            if files is None:
                continue
            decoded = self._decoded(files, Read())
            exact = self._with(decoded.places, Read())
            if decoded.states and exact.states and decoded.places == exact.places:
                rows = min(len(decoded.states[0][1]), len(exact.states[0][1]))
                one, two = (State(read.states[0][0].hidden[:rows]) for read in (exact, decoded))
                return one, two
        return None

    def _read(self, places: Sequence[int]) -> Read:
        """A batch read and prepared, all but what is done on a device; in a thread or a process of its own."""
        files = self._files(places)
        taken = set(files.places) if files else ()
        return self._with([place for place in places if place not in taken], Read(files=files))

    def _files(self, places: Sequence[int]) -> Files | None:
        """The files of examples that the decoder takes; None for none."""
        if self.decode is None:
            return None
        read = [(place, self.examples.file(self.chosen[place], self.decode.takes)) for place in places]
        taken = [(place, content) for place, content in read if content is not None]
        if not taken:
            return None
        content = np.frombuffer(b"".join(content for _, content in taken), np.uint8)
        sizes = [len(content) for _, content in taken]
        return Files([place for place, _ in taken], torch.from_numpy(content.copy()), sizes)

    def _with(self, places: Sequence[int], found: Read) -> Read:
        """A batch with more examples, as the modality's reader reads them."""
        rows: list[tuple[int, Window, float]] = []
        for place in places:
            number = self.chosen[place]
            try:
                example = self.examples.read(number)
            except Unreadable as error:
                found.bad.append((place, Bad.of(self.examples.raws[number].name, error)))
                continue
            owner = len(found.places)
            self._add(place, len(example.parts), example, found)
            whole = sum(part.weight for part in example.parts)
            rows += [(owner, part, part.weight / whole) for part in example.parts]
        # The windows of one long example may exceed a batch.
        whole = self.examples.sizes([self.chosen[place] for place in found.places]) if rows else []
        sizes = [whole[owner] * part.weight for owner, part, _ in rows]
        for group in batches(sizes, self.budget):
            state = self.examples.backbone.prepare([rows[row][1].value for row in group])
            found.states.append((state, [rows[row][0] for row in group], [rows[row][2] for row in group]))
        return found

    @torch.inference_mode()
    def _made_ready(self, found: Read) -> Read:
        """A batch with its files decoded, where a GPU can copy it from."""
        if found.files is not None:
            found = self._decoded(found.files, replace(found, files=None))
        if self.device.type != "cuda":
            return found
        return replace(found, states=[(pinned(state), rows, weights) for state, rows, weights in found.states])

    def _decoded(self, files: Files, found: Read) -> Read:
        """A batch with the files that the decoder decodes, and the others as the reader reads them."""
        assert self.decode is not None
        with beside(self.device):
            made = self.decode(files.content.split(files.sizes))
            # Waits for the device, so that what was made can be used anywhere.
            shares = {name: share.cpu().tolist() for name, share in made.defects.items()}
        first = len(found.places)
        for row, here in enumerate(made.rows):
            defects = {name: share[row] for name, share in shares.items()}
            self._add(files.places[here], 1, Example([], defects), found)
        if made.rows:
            found.states.append((State(made.hidden), list(range(first, len(found.places))), [1.0] * len(made.rows)))
        left = set(files.places) - set(found.places)
        return self._with([place for place in files.places if place in left], found) if left else found

    def _add(self, place: int, parts: int, example: Example, found: Read) -> None:
        found.places.append(place)
        found.parts.append(parts)
        found.shares.append(self.examples.shares(self.chosen[place], example).tolist())
