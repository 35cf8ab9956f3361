"""Declared steps that change an input: converters inside a modality, adapters between two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from graftwork.specs.contracts import Anything, InputContract, Requirement, Value


@dataclass(frozen=True)
class Converter:
    """A declared step that changes one fact of an input inside a modality.

    factory: names `convert(value, seen, to) -> value`, working on what the modality's reader decodes.
    splits: the factory returns a list of `Window` instead: parts of a value that is too long to be read at once.
    accepts: the values of the fact that it can start from; gives: those it can reach; reaches: says of two of them
    whether it leads from the one to the other, where that is not so for all.
    loss: says in words what is lost from `seen` to `to`; the empty string when nothing is.
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
        """The value that it would turn `seen` into so that `wanted` is met, or None when it cannot."""
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

    contract: what it reads of the source modality. factory: names `adapt(value) -> value`, from what the source's
    reader decodes to what the target's reader takes in memory. gives: the facts of what it makes. loss: what is lost.
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
