"""What an encoder was pretrained to read, and what the data are: the two sides of every agreement.

A fact is a named property of an input ("sampling_rate"); a requirement says which of its values are accepted; an
observed fact says which values were seen, how often, and where.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

Value = str | int | float


def show(value: Value, unit: str = "") -> str:
    """A fact's value as text: `show(44100, "Hz")` is `44 100 Hz`."""
    if isinstance(value, bool | str):
        return str(value)
    whole = isinstance(value, int) or float(value).is_integer()
    text = f"{int(value):,}".replace(",", " ") if whole else f"{value:g}"
    return f"{text} {unit}" if unit else text


def plural(count: int, one: str, many: str = "") -> str:
    """A number with its noun: `plural(1, "group")` is `1 group`."""
    return f"{show(count)} {one if count == 1 else many or one + 's'}"


MANY = 8
"""More values of a fact than this are shown as a range."""


def span(values: Sequence[Value], unit: str = "") -> str:
    """Values in a few words: `8 000 Hz, 44 100 Hz`, or `0.2 to 31.4 s` for more than `MANY`."""
    if len(values) <= MANY:
        return ", ".join(show(value, unit) for value in values)
    numbers = [value for value in values if not isinstance(value, str)]
    words = sorted(value for value in values if isinstance(value, str))
    parts = [f"{show(min(numbers))} to {show(max(numbers), unit)}"] if numbers else []
    return ", ".join(parts + words[:MANY]) + (" and others" if len(words) > MANY else "")


class Requirement(ABC):
    """Which values of a fact are accepted.

    demands: False for one that accepts every value, so that the fact may be unknown.
    """

    unit: str
    demands: ClassVar[bool] = True

    @abstractmethod
    def allows(self, value: Value) -> bool:
        """Whether `value` is accepted unchanged."""

    @abstractmethod
    def nearest(self, value: Value) -> Value:
        """The accepted value that a converter should aim for, starting from `value`."""

    def doubt(self, value: Value) -> str:
        """A warning about examples with an accepted `value`; empty for none."""
        return ""

    @abstractmethod
    def __str__(self) -> str: ...


@dataclass(frozen=True)
class Exactly(Requirement):
    """One value and no other."""

    value: Value
    unit: str = ""

    def allows(self, value: Value) -> bool:
        return value == self.value

    def nearest(self, value: Value) -> Value:
        return self.value

    def __str__(self) -> str:
        return show(self.value, self.unit)


@dataclass(frozen=True)
class OneOf(Requirement):
    """Any of a few values; converters aim for the first."""

    values: tuple[Value, ...]
    unit: str = ""

    def allows(self, value: Value) -> bool:
        return value in self.values

    def nearest(self, value: Value) -> Value:
        return value if value in self.values else self.values[0]

    def __str__(self) -> str:
        *others, last = [*(show(v) for v in self.values[:-1]), show(self.values[-1], self.unit)]
        return f"{', '.join(others)} or {last}" if others else last


@dataclass(frozen=True)
class Within(Requirement):
    """A closed range; either end may be infinite."""

    low: float
    high: float
    unit: str = ""

    def allows(self, value: Value) -> bool:
        return not isinstance(value, str) and self.low <= value <= self.high

    def nearest(self, value: Value) -> Value:
        if isinstance(value, str):
            return self.low
        return min(max(value, self.low), self.high)

    def __str__(self) -> str:
        if self.high == float("inf"):
            return f"at least {show(self.low, self.unit)}"
        if self.low == float("-inf"):
            return f"at most {show(self.high, self.unit)}"
        return f"{show(self.low)} to {show(self.high, self.unit)}"


def AtLeast(low: float, unit: str = "") -> Within:
    """`low` or more."""
    return Within(low, float("inf"), unit)


def AtMost(high: float, unit: str = "") -> Within:
    """`high` or less."""
    return Within(float("-inf"), high, unit)


@dataclass(frozen=True)
class Anything(Requirement):
    """Every value."""

    unit: str = ""
    demands: ClassVar[bool] = False

    def allows(self, value: Value) -> bool:
        return True

    def nearest(self, value: Value) -> Value:
        return value

    def __str__(self) -> str:
        return "anything"


@dataclass(frozen=True)
class Preferably(Requirement):
    """A preference: every value is accepted; `otherwise` is the warning about values that `wish` excludes."""

    wish: Requirement
    otherwise: str
    demands: ClassVar[bool] = False

    @property
    def unit(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.wish.unit

    def allows(self, value: Value) -> bool:
        return True

    def nearest(self, value: Value) -> Value:
        return value

    def doubt(self, value: Value) -> str:
        return "" if self.wish.allows(value) else f"not {self.wish}: {self.otherwise}"

    def __str__(self) -> str:
        return f"preferably {self.wish}"


@dataclass(frozen=True)
class Fact:
    """A property of an input that a modality's reader observes: its unit, and where it is read from.

    headline: whether it appears in a short description of the data (`311 files, 44 100 Hz`).
    """

    name: str
    source: str
    unit: str = ""
    headline: bool = False


@dataclass(frozen=True)
class InputContract:
    """What an encoder was pretrained to read: a modality, and a requirement for each named fact of the data.

    preparation: how `prepare` must turn such data into numbers, as in pretraining (range, mean, std, sizes, the
    tokenizer's digest). It is part of the contract, so a run is refused if it has changed.
    """

    modality: str
    facts: Mapping[str, Requirement] = field(default_factory=dict)
    preparation: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "modality": self.modality,
            "facts": {k: str(v) for k, v in self.facts.items()},
            "preparation": json.loads(json.dumps(dict(self.preparation))),
        }

    def difference(self, recorded: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
        """The first item that differs from the `recorded` contract (as JSON): its name, then and now.

        Items of the preparation that this contract leaves open (None) are compared when the encoder is loaded.
        """
        now = self.as_json()
        for part in ("facts", "preparation"):
            for name, was in recorded.get(part, {}).items():
                current = now[part].get(name)
                if current != was and not (part == "preparation" and current is None):
                    return name, was, current
            for name, current in now[part].items() if part == "preparation" else ():
                if name not in recorded.get(part, {}):
                    return name, None, current
        return None


@dataclass(frozen=True)
class Sighting:
    """One observed value of a fact: how many examples have it, and the name of the first."""

    value: Value
    count: int
    example: str


def range_of(sightings: Sequence[Sighting]) -> dict[str, Any] | None:
    """The ends and the median of a fact's numbers, with an example of each end; None for few values, or words."""
    seen = sorted((s for s in sightings if not isinstance(s.value, str)), key=lambda s: s.value)
    if len(sightings) <= MANY or not seen:
        return None
    middle, passed, median = sum(s.count for s in seen) / 2, 0, seen[-1].value
    for sighting in seen:
        passed += sighting.count
        if passed >= middle:
            median = sighting.value
            break
    low, high = seen[0], seen[-1]
    return {
        "low": low.value, "high": high.value, "median": median, "low_example": low.example, "high_example": high.example
    }  # fmt: skip


def _frequent_first(sightings: Iterable[Sighting]) -> tuple[Sighting, ...]:
    return tuple(sorted(sightings, key=lambda sighting: (-sighting.count, str(sighting.value))))


@dataclass(frozen=True)
class ObservedInput:
    """What the data are, read from headers and column types, never guessed from tensor shapes.

    place: where the inputs stand ("column 'clip'"). items: the plural noun for them ("files"). facts: every observed
    value of each fact, the most frequent first. headlines: the facts named in a summary, by default those with a unit.
    """

    modality: str
    place: str
    count: int
    items: str = "examples"
    facts: Mapping[str, tuple[Sighting, ...]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    headlines: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls,
        modality: str,
        place: str,
        examples: Iterable[tuple[str, Mapping[str, Value]]],
        *,
        items: str = "examples",
        units: Mapping[str, str] | None = None,
        headlines: tuple[str, ...] | None = None,
    ) -> ObservedInput:
        """Count `(name, facts)` pairs, one per example."""
        counts: dict[str, dict[Value, int]] = {}
        first: dict[tuple[str, Value], str] = {}
        total = 0
        for name, facts in examples:
            total += 1
            for fact, value in facts.items():
                if (counter := counts.get(fact)) is None:
                    counter = counts[fact] = {}
                if value in counter:
                    counter[value] += 1
                else:
                    counter[value] = 1
                    first[fact, value] = name
        seen = {
            fact: _frequent_first(Sighting(value, n, first[fact, value]) for value, n in counter.items())
            for fact, counter in counts.items()
        }
        return cls(modality, place, total, items, seen, dict(units or {}), headlines)

    def __add__(self, other: ObservedInput) -> ObservedInput:
        """The observations of two parts of the data together."""
        seen: dict[str, tuple[Sighting, ...]] = {}
        for fact in {**self.facts, **other.facts}:
            merged: dict[Value, Sighting] = {}
            for sighting in (*self.facts.get(fact, ()), *other.facts.get(fact, ())):
                before = merged.get(sighting.value, Sighting(sighting.value, 0, sighting.example))
                merged[sighting.value] = replace(before, count=before.count + sighting.count)
            seen[fact] = _frequent_first(merged.values())
        return replace(self, count=self.count + other.count, facts=seen)

    def summary(self) -> str:
        """The size and the headline facts in a few words: `311 files, 44 100 Hz`."""
        parts = [f"{show(self.count)} {self.items}"]
        for fact in self.units if self.headlines is None else self.headlines:
            values, unit = self.facts.get(fact, ()), self.units.get(fact, "")
            if values and len(values) <= 2:
                parts.append(" and ".join(show(s.value, unit) for s in values))
        return ", ".join(parts)

    def span(self, fact: str) -> str:
        """The values of a fact in a few words: each of them, or the lowest and highest if they are many."""
        return span([s.value for s in self.facts.get(fact, ())], self.units.get(fact, ""))

    def as_json(self) -> dict[str, Any]:
        return {
            "modality": self.modality,
            "place": self.place,
            "count": self.count,
            "facts": {
                fact: [{"value": s.value, "count": s.count, "example": s.example} for s in seen[:20]]
                for fact, seen in self.facts.items()
            },
            "values": {fact: self.span(fact) for fact in self.facts},
            "ranges": {fact: found for fact, seen in self.facts.items() if (found := range_of(seen))},
            "units": dict(self.units),
        }
