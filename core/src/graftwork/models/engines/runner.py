"""An encoder run by an engine in a precision, held to torch in fp32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from graftwork.errors import UsageError
from graftwork.models.engines.engine import Engine, FrozenEncoder, Run, folded
from graftwork.models.engines.torch_engine import TorchEngine
from graftwork.models.precision import AGREES, cosines
from graftwork.models.stages import State
from graftwork.plugins import registry
from graftwork.specs.engine import EngineSpec
from graftwork.specs.factories import load_factory, require

AGREES_INT8 = 0.99
"""The least mean cosine to fp32 features of the first batch for which int8 is used."""

WRONG = 0.9
"""The mean cosine in int8 of a batch of moved values below which a graph is taken to be wrong."""


class Choice(NamedTuple):
    """An engine and a precision, by name."""

    engine: str
    precision: str

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"


REFERENCE = Choice("torch", "fp32")


def installed(spec: EngineSpec) -> bool:
    """Whether what an engine needs is there."""
    try:
        require(spec.needs, "")
    except UsageError:
        return False
    return True


def int8_engine(name: str) -> str:
    """The first engine that computes in int8, where none is named."""
    able = [spec.name for spec in registry.engines() if "int8" in spec.precisions]
    return able[0] if name == "auto" and able else name


def first_line(error: Exception) -> str:
    """The first line of what a library raised."""
    words = str(error).strip()
    return words.splitlines()[0].rstrip(".") if words else type(error).__name__


def least(choice: Choice) -> float:
    """The agreement with torch in fp32 from which on it is used, see `Runner.agreement`."""
    return AGREES_INT8 if choice.precision == "int8" else AGREES


class Reference:
    """Torch in fp32, and what it made of the batch that others were compared on last."""

    def __init__(self, frozen: FrozenEncoder) -> None:
        self.run = TorchEngine().compile(frozen, None, "fp32")
        self._last: tuple[State, Expected] | None = None

    def expected(self, state: State) -> Expected:
        """The features of a batch, and of another of other sizes."""
        if self._last is None or self._last[0] is not state:
            made = self.run(state).pooled
            free = 2 if state.mask is not None or state.hidden.ndim == 2 else 1
            other = _other(state, free)
            try:
                others = self.run(other).pooled
            except Exception:  # the encoder reads this length alone
                free, other = 1, _other(state, 1)
                others = self.run(other).pooled
            self._last = state, Expected(free, ((state, made), (other, others)))
        return self._last[1]


class Runner:
    """Frozen stages run by an engine, which is compiled for each kind of batch that comes: with a mask or without.

    Where the engine runs the first stages alone torch runs the others. A batch of a shape that was not compared, and a
    kind whose features do not agree, are left to torch in fp32.
    """

    def __init__(
        self, choice: Choice, frozen: FrozenEncoder, *, compiled: bool = False, reference: Reference | None = None
    ) -> None:
        self.choice, self.frozen, self.compiled = choice, frozen, compiled
        self.reference = reference or Reference(frozen)
        self._kinds: dict[bool, _Kind] = {}

    def __call__(self, state: State) -> list[Tensor]:
        """Pooled features `(B, D)` float32 on the encoder's device, one after each of the taps."""
        kind = self._kind(state)
        agrees = kind.agreement >= least(self.choice) and kind.takes(state)
        return self._completed(kind.run, state) if agrees else self.reference.run(state).pooled

    def agreement(self, state: State) -> float:
        """How the features of a batch agree with those of torch in fp32, of other engines also those of another number
        of rows and another length: the least cosine of an example after any of the taps; in int8 the mean."""
        kind = self._kind(state)
        if self.choice.engine == "torch":
            return self._compared(kind.run, self.reference.expected(state).pairs[:1])
        return kind.agreement

    def _kind(self, state: State) -> _Kind:
        masked = state.mask is not None
        if masked not in self._kinds:
            ours = self.choice.engine == "torch"
            made = TorchEngine(compiled=self.compiled) if ours else _engine(self.choice.engine)
            run = made.compile(self.frozen, state, self.choice.precision)
            if ours:
                self._kinds[masked] = _Kind(run, state.hidden.shape, None, 1.0)
            else:
                expected = self.reference.expected(state)
                agreement = self._compared(run, expected.pairs)
                self._kinds[masked] = _Kind(run, state.hidden.shape, expected.free, agreement)
        return self._kinds[masked]

    def _compared(self, run: Run, pairs: Sequence[tuple[State, list[Tensor]]]) -> float:
        of = torch.mean if self.choice.precision == "int8" else torch.min
        first, *others = (
            _least([float(of(cosines(*one))) for one in zip(expected, self._completed(run, state), strict=True)])
            for state, expected in pairs
        )
        if self.choice.precision == "int8":  # values that are no example's show whether a graph is wrong, not how exact
            others = [one for one in others if not one >= WRONG]
        return _least([first, *others])

    def _completed(self, run: Run, state: State) -> list[Tensor]:
        """Features after all of the taps; torch goes on from where the engine stopped."""
        found, then, begin = run(state)
        if then is None:
            return found
        after = enumerate(folded(self.frozen.stages[begin:], then.to(self.frozen.device)), begin)
        pool, taps = self.frozen.backbone.pool, self.frozen.taps
        return [*found, *(pool(one).float() for tap, one in after if tap in taps)]


def _least(values: list[float]) -> float:
    """NaN if any is, which `min` may pass over."""
    return float(torch.tensor(values, dtype=torch.double).min())


def _engine(name: str) -> Engine:
    return load_factory(registry.engine(name).factory)()


class Expected(NamedTuple):
    """free: how many of the sizes of a batch another may differ in: the rows, or also the length. pairs: batches and
    their features."""

    free: int
    pairs: tuple[tuple[State, list[Tensor]], ...]


@dataclass(frozen=True)
class _Kind:
    """How batches with a mask, or those without, are run. shape: of the first; free: how many of its sizes another may
    differ in, None for all. agreement: of the first."""

    run: Run
    shape: torch.Size
    free: int | None
    agreement: float

    def takes(self, state: State) -> bool:
        shape = state.hidden.shape
        return self.free is None or (len(shape) == len(self.shape) and shape[self.free :] == self.shape[self.free :])


def rows_of(state: State, count: int) -> State:
    """The first rows of a batch."""
    return State(state.hidden[:count], None if state.mask is None else state.mask[:count])


def shorter(state: State, length: int) -> State:
    """The beginnings of the rows of a batch."""
    return State(state.hidden[:, :length], None if state.mask is None else state.mask[:, :length])


def _other(state: State, free: int) -> State:
    """Three of its last rows, or copies of them, of three quarters of its length where that is free, and moved by one
    place: no size and no value is where it was when a graph was traced from the first rows."""
    rows, length = -1 - torch.arange(3) % len(state.hidden), state.hidden.shape[1]
    moved = state.hidden[rows].roll(1, -1 if state.hidden.ndim > 3 else 1)
    three = State(moved, None if state.mask is None else state.mask[rows])
    return three if free < 2 else shorter(three, length - length // 4)
