"""The engine interface: compile the frozen stages of an encoder into one function from a state to pooled features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from graftwork.models.backbone import Backbone
from graftwork.models.engines.folders import folder
from graftwork.models.stages import Stage, State


class Computed(NamedTuple):
    """What an engine made of a batch.

    pooled: features `(B, D)` float32 on the encoder's device, after each of the taps among the stages that it ran.
    then: the state after the last stage that it ran, hidden in float32, and ran: their number, where other stages
    follow.
    """

    pooled: list[Tensor]
    then: State | None = None
    ran: int = 0


Run = Callable[[State], Computed]


@dataclass(frozen=True)
class Calibration:
    """The examples that an int8 engine learns its ranges from.

    digest: tells them apart. batches: prepared states; None where they are not at hand, so that only a model which was
    kept can be used.
    """

    digest: str
    batches: Callable[[], Iterable[State]] | None = None


@dataclass(frozen=True)
class FrozenEncoder:
    """The stages that an engine is to run.

    backbone: in evaluation mode and fp32, on `device`; it must not be changed. taps: the numbers of the stages after
    which pooled features are wanted, ascending. folder: where compiled models may be kept, of these weights, this code
    and this version of the engine alone; None: nowhere. calibration: for int8.
    """

    backbone: Backbone
    taps: tuple[int, ...]
    device: torch.device
    folder: Path | None = None
    calibration: Calibration | None = None

    @property
    def stages(self) -> list[Stage]:
        """The stages up to the last of the taps."""
        return self.backbone.stages()[: self.taps[-1] + 1]

    def kept_by(self, engine: str, weights: str) -> FrozenEncoder:
        """The same, with the folder of an engine for these weights; without one where their digest is not known."""
        spec = self.backbone.spec
        return replace(self, folder=folder(engine, spec, weights)) if weights else self


class Engine(ABC):
    """Runs the frozen stages of encoders. A plugin yields its `EngineSpec` from `graftwork_engines`.

    It is used where its features agree with those of torch in fp32 on the first batch, and where it is faster.
    """

    @abstractmethod
    def compile(self, frozen: FrozenEncoder, example: State, precision: str) -> Run:
        """What turns a batch, the state before the first stage, into pooled features after each of the taps.

        Of an encoder whose later stages it cannot run it runs the first ones, and torch goes on from their state.

        example: a state of the kind that it will get: with a mask or without, of any other numbers of rows and, where
        `(B, T)` or a mask is given, of any other length. A kind that differs is compiled anew.

        May raise anything: the engine is then not used.
        """


def folded(stages: Iterable[Stage], state: State) -> Iterator[State]:
    """The state after each of the stages."""
    for stage in stages:
        state = stage(state)
        yield state
