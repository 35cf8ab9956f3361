"""Examples made to measure: of any modality whose plugin says how, with facts that are asked for."""

from __future__ import annotations

import csv
import random
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from graftwork.errors import GraftworkError
from graftwork.plugins.observing import reader_of
from graftwork.plugins.registry import converters
from graftwork.plugins.registry import modality as find_modality
from graftwork.specs.contracts import Exactly, InputContract, OneOf, Requirement, Value, Within
from graftwork.specs.factories import load_factory
from graftwork.specs.modality import Modality
from graftwork.specs.readers import Raw, Reader
from graftwork.testing.cases import NotChecked


def sample(modality: Modality, number: int, facts: Mapping[str, Value] | None = None) -> Raw:
    """Example `number` of a modality, with these facts. Raises `NotChecked` where the modality does not say how."""
    if not modality.sample:
        raise NotChecked(f"The modality '{modality.name}' makes no samples: give it Modality(sample=...).")
    return load_factory(modality.sample)(dict(facts or {}), random.Random(number))


def examples(modality: str, count: int = 3, contract: InputContract | None = None) -> list[Raw]:
    """Some examples of a modality; of those that meet a contract where one is given."""
    found = find_modality(modality)
    return [_meeting(found, number, contract) for number in range(count)]


def _meeting(modality: Modality, number: int, contract: InputContract | None) -> Raw:
    raw = sample(modality, number)
    if contract is None:
        return raw
    reader: Reader = load_factory(modality.reader)()
    seen = reader.facts(raw)  # of its own: a sample cannot be made to have facts that other plugins add
    asked = {
        fact: wanted.nearest(seen[fact])
        for fact, wanted in contract.facts.items()
        if fact in seen and not wanted.allows(seen[fact])
    }
    return sample(modality, number, asked) if asked else raw


def violations(modality: Modality, contract: InputContract) -> Iterator[tuple[str, Value, Raw]]:
    """For each fact that a contract demands, examples that violate it: the fact, its value, and the example."""
    reader = reader_of(modality, contract.facts)
    for fact, wanted in contract.facts.items():
        if not wanted.demands:
            continue
        for value in outside(modality, fact, wanted):
            try:
                raw = sample(modality, 0, {fact: value})
                seen = reader.facts(raw)[fact]
            except (GraftworkError, LookupError, ValueError, OSError, TypeError):
                continue  # no such example can be made
            if not wanted.allows(seen):
                yield fact, seen, raw


def outside(modality: Modality, fact: str, wanted: Requirement) -> list[Value]:
    """Some values that a requirement excludes: what converters start from, and numbers beyond its ends."""
    offered = [c.accepts for c in converters() if (c.modality, c.fact) == (modality.name, fact)]
    found: list[Value] = []
    for requirement in (*offered, wanted):
        match requirement:
            case OneOf(values):
                found += values
            case Exactly(value) if not isinstance(value, str):
                found += [value * 2, value / 2, value + 1]
            case Exactly(value):
                found.append(value)
            case Within(low, high):
                found += [end for end in (low - 1, low / 2, low, high, high * 2, high + 1) if abs(end) != float("inf")]
            case _:
                pass
    whole = [int(v) if isinstance(v, float) and v.is_integer() else v for v in found]
    return [v for v in dict.fromkeys(whole) if not wanted.allows(v)][:8]


def write_data(modality: str, folder: Path, labels: tuple[str, ...] = ("a", "b"), each: int = 6) -> Path:
    """A small labelled set as a user has it: class folders of files, or a table of texts. Returns what `fit` takes."""
    found = find_modality(modality)
    raws = [(label, sample(found, number)) for number, label in enumerate(labels * each)]
    if found.inline:
        path = folder / "data.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["input", "label"])
            writer.writerows([raw.value, label] for label, raw in raws)
        return path
    for number, (label, raw) in enumerate(raws):
        suffix = Path(raw.name).suffix or ("" if raw.is_folder else found.extensions[0])
        place = folder / "data" / label / f"{number}{suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        if raw.is_folder:
            shutil.copytree(raw.path or place, place)
        else:
            place.write_bytes(raw.content())
    return folder / "data"
