"""What an encoder was pretrained to read, and what the data are: the two sides of every agreement.

A fact is a named property of an input ("sampling_rate"); a requirement says which of its values are
accepted; an observed fact says which values were seen, how often, and where.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Value = str | int | float


def show(value: Value, unit: str = "") -> str:
    """Write a fact's value the way people read it: `show(44100, "Hz")` is `44 100 Hz`."""
    if isinstance(value, bool | str):
        text = str(value)
    elif isinstance(value, int) or float(value).is_integer():
        text = f"{int(value):,}".replace(",", " ")
    else:
        text = f"{value:g}"
    return f"{text} {unit}" if unit else text


class Requirement(ABC):
    """Which values of a fact are accepted."""

    unit: str

    @abstractmethod
    def allows(self, value: Value) -> bool:
        """Whether `value` is accepted as it is."""

    @abstractmethod
    def nearest(self, value: Value) -> Value:
        """The accepted value that a converter should aim for, starting from `value`."""

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
    """Any of a few values; the first is the one that converters aim for."""

    values: tuple[Value, ...]
    unit: str = ""

    def allows(self, value: Value) -> bool:
        return value in self.values

    def nearest(self, value: Value) -> Value:
        return value if value in self.values else self.values[0]

    def __str__(self) -> str:
        return " or ".join(show(v, self.unit) for v in self.values)


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

    def allows(self, value: Value) -> bool:
        return True

    def nearest(self, value: Value) -> Value:
        return value

    def __str__(self) -> str:
        return "anything"


@dataclass(frozen=True)
class InputContract:
    """What an encoder was pretrained to read: a modality and a requirement for each named fact."""

    modality: str
    facts: Mapping[str, Requirement] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"modality": self.modality, "facts": {k: str(v) for k, v in self.facts.items()}}


@dataclass(frozen=True)
class Sighting:
    """One value of a fact as it was seen: how often, and the name of the first example that has it."""

    value: Value
    count: int
    example: str


@dataclass(frozen=True)
class ObservedInput:
    """What the data are, read from headers and column types, never guessed from tensor shapes.

    `place` names where the inputs stand ("column 'clip'"); `items` is what one of them is called
    in the plural ("files"); `facts` holds every value seen of each fact, the most frequent first.
    """

    modality: str
    place: str
    count: int
    items: str = "examples"
    facts: Mapping[str, tuple[Sighting, ...]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        modality: str,
        place: str,
        examples: Iterable[tuple[str, Mapping[str, Value]]],
        *,
        items: str = "examples",
        units: Mapping[str, str] | None = None,
    ) -> ObservedInput:
        """Count `(name, facts)` pairs, one per example, into an observed input."""
        counts: dict[str, Counter[Value]] = {}
        first: dict[tuple[str, Value], str] = {}
        total = 0
        for name, facts in examples:
            total += 1
            for fact, value in facts.items():
                counts.setdefault(fact, Counter())[value] += 1
                first.setdefault((fact, value), name)
        seen = {
            fact: tuple(
                Sighting(value, n, first[fact, value])
                for value, n in sorted(counter.items(), key=lambda item: (-item[1], str(item[0])))
            )
            for fact, counter in counts.items()
        }
        return cls(modality, place, total, items, seen, dict(units or {}))

    def summary(self) -> str:
        """The size and the leading facts in a few words: `311 files, 44 100 Hz`."""
        parts = [f"{show(self.count)} {self.items}"]
        for fact, unit in self.units.items():
            values = self.facts.get(fact, ())
            if values and unit and len(values) <= 2:
                parts.append(" and ".join(show(s.value, unit) for s in values))
        return ", ".join(parts)

    def as_json(self) -> dict[str, Any]:
        return {
            "modality": self.modality,
            "place": self.place,
            "count": self.count,
            "facts": {
                fact: [{"value": s.value, "count": s.count, "example": s.example} for s in seen[:20]]
                for fact, seen in self.facts.items()
            },
        }
