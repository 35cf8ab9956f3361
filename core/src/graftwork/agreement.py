"""The one place that decides whether data fit an encoder: command line, Python, trainer and tests all ask here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from graftwork.contracts import InputContract, ObservedInput, Requirement, Sighting, Value, show
from graftwork.errors import InputMismatch
from graftwork.specs import Converter


@dataclass(frozen=True)
class Step:
    """One conversion that the data need: which converter turns which value of a fact into which."""

    converter: str
    fact: str
    seen: Value
    to: Value
    count: int
    loss: str = ""


@dataclass(frozen=True)
class Agreement:
    """The conversions that make the data fit, and what a user should know about them."""

    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {"steps": [asdict(step) for step in self.steps], "warnings": list(self.warnings)}


def agree(
    contract: InputContract,
    observed: ObservedInput,
    converters: Iterable[Converter] = (),
    *,
    backbone: str = "",
    nouns: Mapping[str, str] | None = None,
    alternatives: Sequence[str] = (),
) -> Agreement:
    """Find the conversions that turn `observed` into what `contract` asks for.

    backbone, nouns (modality to what its data are called) and alternatives (backbones that read the
    observed modality) serve the sentence only.

    Raises `InputMismatch` when the modalities differ, when a demanded fact was not observed, or when a value
    seen is neither accepted nor convertible.
    """
    who = f"Backbone '{backbone}'" if backbone else "The encoder"
    nouns = nouns or {}
    if observed.modality != contract.modality:
        held = nouns.get(observed.modality, observed.modality)
        raise InputMismatch(
            f"{who} reads {nouns.get(contract.modality, contract.modality)}; "
            f"{observed.place} holds {held} ({observed.summary()}).",
            f"{observed.modality.capitalize()} backbones installed: {', '.join(alternatives) or 'none'}. "
            f"List all: graftwork backbones --modality {observed.modality}",
        )
    offered = [c for c in converters if c.modality == contract.modality]
    steps = []
    for fact, wanted in contract.facts.items():
        if fact not in observed.facts:
            raise InputMismatch(
                f"{who} wants {_words(fact)} {wanted}; the reader of {observed.place} does not say what it is.",
                "Update the plugin that reads these data; see: graftwork plugins",
            )
        for sighting in observed.facts[fact]:
            if not wanted.allows(sighting.value):
                steps.append(_convert(who, fact, wanted, sighting, observed, offered))
    lossy = [step for step in steps if step.loss]
    warnings = tuple(f"{show(s.count)} of {show(observed.count)} {observed.items}: {s.loss}" for s in lossy)
    return Agreement(tuple(steps), warnings)


def _convert(
    who: str,
    fact: str,
    wanted: Requirement,
    sighting: Sighting,
    observed: ObservedInput,
    offered: Sequence[Converter],
) -> Step:
    candidates = []
    for converter in offered:
        if converter.fact == fact and (to := converter.target(sighting.value, wanted)) is not None:
            loss = converter.loses(sighting.value, to)
            candidates.append((bool(loss), converter.name, to, loss))
    if not candidates:
        raise InputMismatch(
            f"{who} wants {_words(fact)} {wanted}; {observed.place} has {show(sighting.value, wanted.unit)} in "
            f"{show(sighting.count)} of {show(observed.count)} {observed.items} (first: {sighting.example}), "
            "and no installed converter turns one into the other.",
            "Convert the data yourself, or choose another backbone: graftwork backbones "
            f"--modality {observed.modality}",
        )
    # Lossless before lossy, then by name: the outcome never depends on the order of the plugins.
    _, name, to, loss = min(candidates, key=lambda c: c[:2])
    return Step(name, fact, sighting.value, to, sighting.count, loss)


def _words(fact: str) -> str:
    return fact.replace("_", " ")
