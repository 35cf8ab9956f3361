"""Facts of data as people read them: each value, or the range of many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graftwork.specs.contracts import MANY, show


@dataclass(frozen=True)
class FactRow:
    """A line of a table of facts. fact: empty where it is that of the line above. examples: the name of one, or of one
    at each end of a range."""

    fact: str
    value: str
    count: int
    examples: tuple[str, ...]


def fact_rows(observed: Mapping[str, Any]) -> list[FactRow]:
    """The facts of `ObservedInput.as_json()`, line by line: those with many values as a range or in a few words."""
    rows = []
    for fact, seen in observed["facts"].items():
        name, unit = fact.replace("_", " "), observed["units"].get(fact, "")
        found = observed.get("ranges", {}).get(fact)
        if found:
            value = f"{show(found['low'])} to {show(found['high'], unit)}, median {show(found['median'])}"
            rows.append(FactRow(name, value, observed["count"], (found["low_example"], found["high_example"])))
        elif len(seen) > MANY:
            value = f"{observed['values'][fact]}; mostly {show(seen[0]['value'], unit)}"
            rows.append(FactRow(name, value, observed["count"], (seen[0]["example"],)))
        else:
            rows += [
                FactRow("" if place else name, show(one["value"], unit), one["count"], (one["example"],))
                for place, one in enumerate(seen)
            ]
    return rows
