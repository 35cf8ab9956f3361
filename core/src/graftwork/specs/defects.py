"""What keeps an example, or a part of it, from an encoder: blank pictures, clipped sound, unknown tokens, what is cut.

A modality declares its defects. Some are values of facts that its reader observes; of the others a share of each
example is measured on its way to the encoder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graftwork.errors import PluginFault
from graftwork.specs.contracts import InputContract, ObservedInput, Value, show


@dataclass(frozen=True)
class Defect:
    """Something that is lost of an example, or was never in it.

    name: its kind in JSON ("blank"). words: what is wrong, as after "3 of 60 files: "; `{share}` in them stands for the
    affected share. hint: what to do about it, a sentence; empty for nothing.
    fact, value: the fact and its value that say so; if there are none, a share of each example is measured, by
    `Reader.defects` or by `Backbone.survey`.
    threshold: a measured share above this counts, 0..1.
    note: the words for one example; by default those for many.
    """

    name: str
    words: str
    hint: str = ""
    fact: str = ""
    value: Value = ""
    threshold: float = 0.0
    note: str = ""

    def said(self, share: float = 1.0) -> str:
        """The words for one example of which this share is affected."""
        return _filled(self.note or self.words, share)


@dataclass(frozen=True)
class DefectCount:
    """How many examples have a defect, the mean share of them that is affected, and the name of the first."""

    defect: Defect
    examples: int
    share: float
    example: str

    def __add__(self, other: DefectCount) -> DefectCount:
        count = self.examples + other.examples
        share = (self.examples * self.share + other.examples * other.share) / count
        return replace(self, examples=count, share=share)

    def message(self, total: int, items: str) -> str:
        """What is wrong, without a full stop: `3 of 60 files: blank; the first: a.png`."""
        which = f"{show(self.examples)} of {show(total)} {items}"
        return f"{which}: {_filled(self.defect.words, self.share)}; the first: {self.example}"

    def warning(self, total: int, items: str) -> str:
        """The message and what to do."""
        hint = self.defect.hint.rstrip(".")
        return f"{self.message(total, items)}. {hint}" if hint else self.message(total, items)

    def as_json(self) -> dict[str, Any]:
        share = round(self.share, 4)
        return {"name": self.defect.name, "examples": self.examples, "share": share, "example": self.example}


TRUNCATED = Defect(
    "truncated",
    "more than the encoder reads at once, so cut; {share} of what they hold is not read",
    "Read all of it: --long windows",
    note="more than the encoder reads at once, so cut; {share} is not read",
)
"""The end of an example that is longer than an encoder reads; measured for every modality."""


def _filled(words: str, share: float) -> str:
    # All but a trace is not all of it, and a trace is not nothing.
    percent = "under 1%" if share < 0.005 else "over 99%" if 0.995 <= share < 1 else f"{share:.0%}"
    return words.replace("{share}", percent)


def place_of(name: str, defects: Sequence[Defect], who: str) -> int:
    """The place of a measured defect among those that are declared. Raises `PluginFault` if it is not among them."""
    for place, defect in enumerate(defects):
        if defect.name == name:
            return place
    raise PluginFault(
        f"{who} measures the defect '{name}', which its modality does not declare.",
        "Declare it: Modality(defects=(Defect(...),)).",
    )


def measured(defects: Iterable[Defect]) -> tuple[Defect, ...]:
    """Those of which a share is measured."""
    return tuple(defect for defect in defects if not defect.fact)


def added(counts: Iterable[DefectCount], others: Iterable[DefectCount]) -> tuple[DefectCount, ...]:
    """The counts of two parts of the data together."""
    found = {count.defect.name: count for count in counts}
    for count in others:
        name = count.defect.name
        found[name] = found[name] + count if name in found else count
    return tuple(found.values())


def told_by_facts(
    defects: Sequence[Defect], facts: Mapping[str, Value], contract: InputContract | None = None
) -> list[Defect]:
    """The defects that the facts of one example say; with a contract, those alone that matter to its encoder."""
    return [d for d in defects if d.fact and facts.get(d.fact) == d.value and _matters(d, contract)]


def counted_by_facts(
    defects: Sequence[Defect], observed: ObservedInput, contract: InputContract | None = None
) -> list[DefectCount]:
    """The same of all the data."""
    return [
        DefectCount(defect, sighting.count, 1.0, sighting.example)
        for defect in defects
        if defect.fact and _matters(defect, contract)
        for sighting in observed.facts.get(defect.fact, ())
        if sighting.value == defect.value
    ]


def _matters(defect: Defect, contract: InputContract | None) -> bool:
    """Whether an encoder minds: a value that its contract asks for by name is as it should be."""
    wanted = contract.facts.get(defect.fact) if contract is not None else None
    return wanted is None or not wanted.allows(defect.value) or bool(wanted.doubt(defect.value))
