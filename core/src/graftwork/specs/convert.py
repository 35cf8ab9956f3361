"""Declared steps that change an input: converters within a modality, adapters between two."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from graftwork.specs.contracts import Anything, InputContract, Requirement, Value


@dataclass(frozen=True)
class Converter:
    """A declared step that changes one fact of an input within a modality.

    name: as warnings and runs give it ("resample"). modality, fact: what it changes, by the modality's names.
    factory: names `convert(value, seen, to) -> value`, which takes a value as the modality's reader decodes it.
    splits: the factory returns a list of `Window` instead: windows of a value that is too long to be read at once.
    accepts: the values of the fact that it can start from. gives: those that it can reach. reaches: whether it leads
    from one given value to another; None if always.
    loss: what is lost from `seen` to `to`, in words; empty for nothing.
    """

    name: str
    modality: str
    fact: str
    factory: str
    accepts: Requirement = field(default_factory=Anything)
    gives: Requirement = field(default_factory=Anything)
    loss: Callable[[Value, Value], str] | None = None
    reaches: Callable[[Value, Value], bool] | None = None
    splits: bool = False

    def target(self, seen: Value, wanted: Requirement) -> Value | None:
        """The value that it turns `seen` into so that `wanted` is met, or None if it cannot."""
        if not self.accepts.allows(seen):
            return None
        for candidate in (wanted.nearest(seen), self.gives.nearest(seen)):
            leads = self.reaches is None or self.reaches(seen, candidate)
            if leads and wanted.allows(candidate) and self.gives.allows(candidate):
                return candidate
        return None

    def loses(self, seen: Value, to: Value) -> str:
        return self.loss(seen, to) if self.loss else ""


@dataclass(frozen=True)
class Adapter:
    """A converter between modalities, used only when the user names it as `source:name`.

    name: the part after the colon ("image-logmel"). target: the modality that it makes.
    contract: what it reads of the source modality. factory: names `adapt(value) -> value`, from a value decoded by the
    source's reader to one in memory for the target's reader. gives: the facts of its output. loss: what is lost, in
    words.
    """

    name: str
    contract: InputContract
    target: str
    factory: str
    gives: Mapping[str, Value]
    loss: str

    @property
    def full_name(self) -> str:
        return f"{self.contract.modality}:{self.name}"


@dataclass(frozen=True)
class OptionalStep:
    """A conversion within a modality that a user asks for, as `modality:name` (`--convert image:denoise`).

    name: the word after the colon. modality: the word before it.
    factory: names `convert(value) -> value`. It takes a value as the modality's reader decodes it and as the encoder's
    contract wants it, and returns one of the same kind that still meets the contract. It leaves what it is given as it
    is, and may be called in several threads.
    loss: what is lost, in words; empty for nothing. summary: what it does, in words.
    """

    name: str
    modality: str
    factory: str
    loss: str = ""
    summary: str = ""

    @property
    def full_name(self) -> str:
        return f"{self.modality}:{self.name}"


def step_names(given: str | Iterable[str]) -> tuple[str, ...]:
    """The names of optional steps, in order; one may be given alone."""
    return (given,) if isinstance(given, str) else tuple(given)
