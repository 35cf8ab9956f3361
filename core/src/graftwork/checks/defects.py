"""What of the data does not reach an encoder, as problems: told by facts, seen in the examples, or measured by the
encoder's own files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from graftwork.data.pipeline import Pipeline
from graftwork.data.reading import Data
from graftwork.errors import Unreadable
from graftwork.specs.agreement import Agreement
from graftwork.specs.backbone import BackboneSpec
from graftwork.specs.contracts import InputContract
from graftwork.specs.defects import TRUNCATED, Defect, DefectCount, counted_by_facts, place_of
from graftwork.specs.factories import load_factory
from graftwork.specs.problem import Problem
from graftwork.specs.returns import returned

NAMED = 20
"""The most examples of a problem that are named."""
CHUNK = 512
"""The number of examples that are measured at a time."""


class Shares:
    """The share of each example that every defect affects, kept where it counts: by defect, by number."""

    def __init__(self, defects: Sequence[Defect], who: str) -> None:
        self.defects, self._who = defects, who
        self.found: list[dict[int, float]] = [{} for _ in defects]

    def add(self, number: int, shares: Mapping[str, float]) -> None:
        """Raises `PluginFault` for a defect that is not declared."""
        for name, share in shares.items():
            place = place_of(name, self.defects, self._who)
            if share > self.defects[place].threshold:
                self.found[place][number] = share

    def problems(self, data: Data, namer: Callable[[int], str]) -> Iterable[Problem]:
        for defect, found in zip(self.defects, self.found, strict=True):
            if found:
                numbers = sorted(found)
                names = tuple(map(namer, numbers[:NAMED]))
                mean = sum(found.values()) / len(found)
                groups = tuple((number,) for number in numbers[:NAMED])
                yield _problem(DefectCount(defect, len(found), mean, names[0]), data, names, groups)


def told_by_facts(data: Data, contract: InputContract | None) -> Iterable[Problem]:
    """The problems that the facts tell; with a contract, those alone that matter to its encoder."""
    for count in counted_by_facts(data.modality.defects, data.observed, contract):
        yield _problem(count, data, (count.example,))


def at_encoder(spec: BackboneSpec, data: Data, agreement: Agreement) -> Shares | None:
    """What the encoder loses of the converted examples; None if its files are not on this machine, or cannot tell."""
    if not spec.survey or not spec.weights.at_hand:
        return None
    survey = returned(load_factory(spec.survey)(spec, spec.weights.find()), Callable, spec.survey)
    pipeline = Pipeline(spec.contract, agreement, data.modality)
    shares = Shares((TRUNCATED, *pipeline.defects), f"'{spec.survey}'")
    whole = data.modality.long == "windows"
    for start in range(0, len(data), CHUNK):
        places, values = [], []
        for place in range(start, min(start + CHUNK, len(data))):
            try:
                windows = pipeline(data.raws[place])
            except Unreadable:
                continue
            # Of an example in windows the first stands for all.
            places.append(data.raws.numbers[place])
            values.append(windows[0].value)
        for name, found in returned(survey(values), Mapping, spec.survey).items() if values else ():
            if not (whole and name == TRUNCATED.name):
                for number, share in zip(places, found, strict=True):
                    shares.add(number, {name: share})
    return shares


def _problem(
    count: DefectCount, data: Data, names: tuple[str, ...], groups: tuple[tuple[int, ...], ...] = ()
) -> Problem:
    message = count.message(len(data), data.observed.items)
    return Problem(count.defect.name, f"{message}.", count.defect.hint, count.examples, names, groups)
