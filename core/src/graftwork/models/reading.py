"""Reading a view of an encoder in parts: frozen stages first, whose results may be kept, and the others later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from graftwork.models.backbone import Backbone
from graftwork.models.stages import Stage, State
from graftwork.models.views import STRIDES, MapView, SequenceView, nearest, pyramid_of

View = SequenceView | MapView | Mapping[int, MapView]
"""What the head of a task takes whose answers lie in the input."""


@dataclass(frozen=True)
class Reading:
    """How far an encoder has read a batch.

    state: before stage `begin`; None where only maps go on. shape: of a prepared input, `(3, H, W)` for images. maps:
    for the view `pyramid` the last map of each stride, and under 1 the prepared pixels; for `map` the last one, under
    its stride. sequence: the mask `(B, T)` and the spans `(B, T, 2)` of the view `sequence`, where they are known.
    """

    state: State | None
    shape: tuple[int, ...]
    begin: int = 0
    maps: Mapping[int, Tensor] = field(default_factory=dict)
    sequence: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of(cls, prepared: State, what: Wanted) -> Reading:
        """A prepared batch, of which no stage has read anything."""
        maps = {1: prepared.hidden} if 1 in what.strides else {}
        return cls(prepared, tuple(prepared.hidden.shape[1:]), 0, maps)

    def rows(self, here: slice) -> Reading:
        """Some of its rows."""
        state = self.state and State(
            self.state.hidden[here], None if self.state.mask is None else self.state.mask[here]
        )
        maps = {stride: one[here] for stride, one in self.maps.items()}
        sequence = self.sequence and (self.sequence[0][here], self.sequence[1][here])
        return Reading(state, self.shape, self.begin, maps, sequence)

    def to(self, device: torch.device, layout: torch.memory_format = torch.preserve_format) -> Reading:
        """On a device; what was kept in half precision becomes float32."""

        def moved(hidden: Tensor) -> Tensor:
            hidden = hidden.to(device, non_blocking=True)
            hidden = hidden.float() if hidden.is_floating_point() else hidden
            return hidden.to(memory_format=layout) if hidden.ndim == 4 else hidden

        state = self.state and State(moved(self.state.hidden), self.state.mask).to(device)
        maps = {stride: moved(one) for stride, one in self.maps.items()}
        sequence = self.sequence and (self.sequence[0].to(device), self.sequence[1])
        return Reading(state, self.shape, self.begin, maps, sequence)


@dataclass(frozen=True)
class Wanted:
    """What a head reads: the view by name, after stage `tap`; of a pyramid the maps of these strides, 1 for the
    prepared pixels."""

    reads: str
    tap: int
    strides: tuple[int, ...] = ()

    def used(self, strides: Iterable[int]) -> set[int]:
        """Of the strides of the maps that stages gave, those that the view is made of."""
        if self.reads != "pyramid":
            return set(strides)
        found, asked = set(strides) - {1}, set(self.strides or STRIDES) - {1}
        return {nearest(found, stride) for stride in asked} | ({1} & set(strides))


def read_on(
    backbone: Backbone,
    reading: Reading,
    end: int,
    what: Wanted,
    run: Callable[[Stage, State], State] = lambda stage, state: stage(state),
) -> Reading:
    """Run the stages up to `end` (excluded). run: runs one of them."""
    state, maps = reading.state, dict(reading.maps)
    for stage in backbone.stages()[reading.begin : end]:
        assert state is not None, "a state to go on from"
        state = run(stage, state)
        if what.reads in ("map", "pyramid") and state.hidden.ndim > 2:
            view = backbone.map(_stand_in(reading, state), state)
            if what.reads == "map":
                maps.clear()
            maps[view.stride] = view.hidden
    return Reading(state, reading.shape, max(end, reading.begin), maps, reading.sequence)


def view_of(backbone: Backbone, reading: Reading, what: Wanted, values: Sequence[Any]) -> View:
    """The view of a batch that was read up to the tap. values: what `prepare` made the batch of.

    Raises `UsageError` where a stage up to the tap keeps no positions.
    """
    if what.reads == "sequence":
        assert reading.state is not None, "the state of a sequence"
        if reading.sequence is not None:
            return SequenceView(reading.state.hidden.float(), *reading.sequence)
        device = reading.state.hidden.device
        view = backbone.sequence(list(values), _stand_in(reading, reading.state), reading.state)
        # Some rows of a batch are padded to the longest of all its rows.
        more = view.hidden.shape[1] - view.mask.shape[1]
        mask, spans = functional.pad(view.mask, (0, more)), functional.pad(view.spans, (0, 0, 0, more))
        return SequenceView(view.hidden, mask.to(device), spans)
    if what.reads == "map":
        if not reading.maps:
            assert reading.state is not None, "the state of a map"
            return backbone.map(_stand_in(reading, reading.state), reading.state)  # says what is wrong
        stride, hidden = next(iter(reading.maps.items()))
        return MapView(hidden.float(), stride)
    maps = {stride: MapView(hidden.float(), stride) for stride, hidden in reading.maps.items()}
    pixels = maps.pop(1, None)
    found = pyramid_of(maps, torch.empty(1, *reading.shape, device="meta"))
    if pixels is not None:
        found[1] = pixels
    return {stride: found[stride] for stride in what.strides or sorted(found)}


def channels(view: View) -> int | dict[int, int]:
    """How wide a view is: D of a sequence, C of a map, or C of each map by stride."""
    if isinstance(view, SequenceView):
        return view.hidden.shape[2]
    if isinstance(view, MapView):
        return view.hidden.shape[1]
    return {stride: one.hidden.shape[1] for stride, one in view.items()}


def _stand_in(reading: Reading, state: State) -> State:
    """A prepared batch of the same shape, of which views look at nothing else."""
    return State(torch.empty(len(state.hidden), *reading.shape, device="meta"), None)
