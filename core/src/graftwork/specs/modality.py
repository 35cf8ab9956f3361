"""A kind of input, described without importing what reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graftwork.specs.contracts import Fact, ObservedInput, Value


@dataclass(frozen=True)
class Modality:
    """A kind of input.

    name: the word in backbone names and contracts ("audio").
    noun: what data of it are called in a sentence ("audio", "images").
    reader: names a `graftwork.Reader` subclass; it may import Pillow or soundfile, never torch.
    facts: what the reader observes of every example; conversions are applied in this order.
    extensions: lower-case file endings that hold it (".wav").
    inline: whether a table may hold the input itself (texts) instead of file paths.
    features: names of `datasets` feature types that hold it ("Audio").
    preparer: names `build(spec) -> prepare(values) -> State`, the modality's standard preparation.
    likeness: names a `graftwork.Likeness` subclass, which finds near duplicates.
    long: what becomes of an example that is too long for an encoder unless the user says: "truncate" or "windows".
    augment: names `build() -> change(value, rng) -> value`, which changes a decoded example as chance may (a
    `random.Random`) without changing its label.
    amount: the fact whose sum says how much there is of data ("duration"); empty where examples are counted.
    frames_aligned: whether states `(B, T, D)` of any two of its encoders run over the same time, so that one can be
    told from the other place by place.
    sample: names `build(facts, rng) -> Raw`, which makes an example in memory (encoded bytes, or the input itself where
    it is inline) that has these facts, the others being ordinary ones drawn by the `random.Random`; it raises
    `LookupError` for what it cannot make. The conformance kit and its fixtures make their data so.
    """

    name: str
    noun: str
    reader: str
    facts: tuple[Fact, ...] = ()
    extensions: tuple[str, ...] = ()
    inline: bool = False
    features: tuple[str, ...] = ()
    preparer: str = ""
    likeness: str = ""
    long: str = "truncate"
    augment: str = ""
    sample: str = ""
    amount: str = ""
    frames_aligned: bool = False

    @property
    def units(self) -> dict[str, str]:
        """The unit of each fact that has one."""
        return {fact.name: fact.unit for fact in self.facts if fact.unit}

    def observed(
        self, place: str, examples: Iterable[tuple[str, Mapping[str, Value]]], items: str = "examples"
    ) -> ObservedInput:
        """What `(name, facts)` pairs, one per example, are as data of this modality."""
        headlines = tuple(fact.name for fact in self.facts if fact.headline)
        return ObservedInput.of(self.name, place, examples, items=items, units=self.units, headlines=headlines)
