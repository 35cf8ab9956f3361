"""A kind of input, described without importing its reader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graftwork.specs.contracts import Fact, ObservedInput, Value
from graftwork.specs.defects import Defect


@dataclass(frozen=True)
class FactSpec:
    """A fact that a plugin adds to a modality, mostly to another plugin's; contracts and converters may then name it.

    modality: the name of the modality. fact: its name, where it is observed, and its unit.
    factory: names `observe(raw, reader) -> Value`, a word or a finite number for every example; `reader` is the
    modality's own, whose `decode(raw)` gives the value as stored. It may be called in several threads and raises
    `Unreadable` for an example that it cannot read.
    """

    modality: str
    fact: Fact
    factory: str

    @property
    def name(self) -> str:
        return f"{self.modality}:{self.fact.name}"


@dataclass(frozen=True)
class Modality:
    """A kind of input.

    name: the word in backbone names and contracts ("audio").
    noun: the word for its data in a sentence ("audio", "images").
    reader: names a `graftwork.Reader` subclass; it may import Pillow or soundfile, never torch.
    facts: the facts that the reader observes for every example; conversions are applied in this order.
    extensions: the endings of its examples in lower case (".wav"), which end files, or folders too (".zarr").
    examples: what an example may be: a "file", a "folder", or either.
    members: endings of files that make the folder in which they lie an example (numbered frames, the slices of a scan),
    "" for files without one; none of them may be in `extensions` too, unless only folders are examples.
    companions: how the names of files end that lie beside an example and belong to it, after its stem ("_mask.png" for
    `a_mask.png` beside `a.png`, ".dat" for `a.dat`). They are no examples; `Raw.files` has them, digests cover them.
    inline: whether a table may hold the input itself (texts) instead of file paths.
    features: names of `datasets` feature types that hold it ("Audio").
    preparer: names `build(spec) -> prepare(values) -> State`, the modality's standard preparation.
    likeness: names a `graftwork.Likeness` subclass, which finds near duplicates.
    long: the default for examples that are too long for an encoder: "truncate" or "windows".
    augment: names `build() -> change(value, rng) -> value`, which augments a decoded example at random (`rng` is a
    `random.Random`) and keeps its label.
    sample: names `build(facts, rng) -> Raw`, which makes an example in memory (encoded bytes, or the input itself where
    it is inline) with these facts; `rng` draws ordinary values for the others. Raises `LookupError` for facts that it
    cannot make. The conformance kit and its fixtures make their data with it.
    amount: the fact whose sum is the amount of data ("duration"); empty if examples are counted.
    frames_aligned: whether states `(B, T, D)` of any two of its encoders cover the same time span and can be compared
    frame by frame.
    defects: what may keep its examples, or a part of them, from an encoder, to be counted and warned of.
    """

    name: str
    noun: str
    reader: str
    facts: tuple[Fact, ...] = ()
    extensions: tuple[str, ...] = ()
    examples: tuple[str, ...] = ("file",)
    members: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()
    inline: bool = False
    features: tuple[str, ...] = ()
    preparer: str = ""
    likeness: str = ""
    long: str = "truncate"
    augment: str = ""
    sample: str = ""
    amount: str = ""
    frames_aligned: bool = False
    defects: tuple[Defect, ...] = ()

    def __post_init__(self) -> None:
        """Raises `ValueError` for kinds of examples that are not known, or cannot be told apart."""
        if not self.examples or not set(self.examples) <= {"file", "folder"}:
            raise ValueError(f"examples of '{self.name}' are {self.examples!r}; 'file', 'folder' or both are accepted")
        if self.members and not self.folders:
            raise ValueError(f"'{self.name}' has members, and its examples are no folders; add 'folder' to examples")
        if twice := set(self.members) & set(self.file_endings):
            raise ValueError(
                f"'{min(twice)}' ends examples of '{self.name}' and members of its folders; name it in one of them"
            )

    @property
    def folders(self) -> bool:
        """Whether a folder may be an example."""
        return "folder" in self.examples

    @property
    def file_endings(self) -> tuple[str, ...]:
        """The endings of files that are examples by themselves."""
        return self.extensions if "file" in self.examples else ()

    @property
    def units(self) -> dict[str, str]:
        """The unit of each fact that has one."""
        return {fact.name: fact.unit for fact in self.facts if fact.unit}

    def observed(
        self, place: str, examples: Iterable[tuple[str, Mapping[str, Value]]], items: str = "examples"
    ) -> ObservedInput:
        """Sum up `(name, facts)` pairs, one per example, as data of this modality."""
        headlines = tuple(fact.name for fact in self.facts if fact.headline)
        return ObservedInput.of(self.name, place, examples, items=items, units=self.units, headlines=headlines)
