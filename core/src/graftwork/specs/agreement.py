"""The one place that decides whether data fit an encoder; command line, Python, trainer and tests all ask here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from graftwork.errors import InputMismatch
from graftwork.specs.backbone import BackboneSpec
from graftwork.specs.contracts import MANY, InputContract, ObservedInput, Requirement, Sighting, Value, show, span
from graftwork.specs.convert import Converter, OptionalStep
from graftwork.specs.defects import Defect, counted_by_facts

OPTIONAL = "optional"


@dataclass(frozen=True)
class Step:
    """One conversion of the data: the converter, the fact, its value before (`seen`) and after (`to`), and the number
    of examples. One that the user asked for has `OPTIONAL` for its fact, and no values.

    seen: a range in words if one converter handles many values alike. example: the name of the first example.
    """

    converter: str
    fact: str
    seen: Value
    to: Value
    count: int
    loss: str = ""
    example: str = ""


@dataclass(frozen=True)
class LeftOut:
    """A value of a fact that the encoder cannot read and no converter changes: its examples are left out."""

    fact: str
    seen: Value
    count: int
    example: str
    reason: str

    @property
    def sentence(self) -> str:
        return f"'{self.example}' does not fit: {self.reason}."


@dataclass(frozen=True)
class Agreement:
    """The conversions that make the data fit, the warnings for the user, and the values that do not fit.

    conversions: the step for each converted (fact, value).
    optional: the names of the steps that the user asked for, which follow the conversions in this order.
    adapter, then: if the user named an adapter into the encoder's modality, its name and the agreement on its output;
    `steps`, `warnings` and `left_out` then cover both sides.
    """

    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    conversions: Mapping[tuple[str, Value], Step] = field(default_factory=dict, repr=False)
    optional: tuple[str, ...] = ()
    adapter: str = ""
    then: Agreement | None = None

    @property
    def least_left_out(self) -> int:
        """The least number of examples left out. Counts are not added, since one example may be left out for several
        facts.
        """
        counts: dict[str, int] = {}
        for item in self.left_out:
            counts[item.fact] = counts.get(item.fact, 0) + item.count
        return max(counts.values(), default=0)

    def as_json(self) -> dict[str, Any]:
        return {
            "steps": [asdict(step) for step in self.steps],
            "warnings": list(self.warnings),
            "left_out": [asdict(item) for item in self.left_out],
            "adapter": self.adapter,
            **({"optional": list(self.optional)} if self.optional else {}),
        }


def agree(
    contract: InputContract,
    observed: ObservedInput,
    converters: Iterable[Converter] = (),
    *,
    may_leave_out: float = 0.0,
    prefer: Collection[str] = (),
    defects: Sequence[Defect] = (),
    backbone: str = "",
    nouns: Mapping[str, str] | None = None,
    alternatives: Sequence[str] = (),
) -> Agreement:
    """Find the conversions that turn `observed` into what `contract` requires.

    may_leave_out: the fraction of the examples, 0..1, that may be left out because no converter makes them fit.
    prefer: names of converters to choose before others that fit (those that a run was trained with).
    defects: of the observed modality; those that its facts tell, and of which the contract says nothing, are warned of
    here, and measured ones where they are measured.
    backbone, nouns (the noun for the data of a modality) and alternatives (backbones that read the observed modality):
    used in the message only.

    Raises `InputMismatch` if the modalities differ, if a required fact was not observed, or if more examples than may
    be left out have a value that is neither accepted nor convertible.
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
    done: list[tuple[Step, Sighting]] = []
    refused: list[LeftOut] = []
    doubts: dict[tuple[str, str], list[Sighting]] = {}
    for fact, requirement in contract.facts.items():
        sightings = observed.facts.get(fact, ())
        if requirement.demands and sum(sighting.count for sighting in sightings) < observed.count:
            raise InputMismatch(
                f"{who} wants {words(fact)} {requirement}; the reader of {observed.place} does not say what it is.",
                "Install or update the plugin that observes it; see: graftwork plugins",
            )
        excluded = []
        for sighting in sightings:
            if requirement.allows(sighting.value):
                if doubt := requirement.doubt(sighting.value):
                    doubts.setdefault((fact, doubt), []).append(sighting)
            elif step := _convert(fact, requirement, sighting, offered, prefer):
                done.append((step, sighting))
            else:
                excluded.append(sighting)
        if sum(sighting.count for sighting in excluded) > may_leave_out * observed.count:
            raise _refusal(who, fact, requirement, excluded, observed)
        refused += [_left_out(who, fact, requirement, sighting) for sighting in excluded]
    lost: dict[str, int] = {}
    for step, _ in done:
        if step.loss:
            lost[step.loss] = lost.get(step.loss, 0) + step.count
    notes = [*lost.items()]
    for (fact, doubt), seen in doubts.items():
        values = span([sighting.value for sighting in seen], contract.facts[fact].unit)
        named = [s.example for s in seen if any((d.fact, d.value) == (fact, s.value) for d in defects)]
        note = f"{words(fact)} {values}, {doubt}" + (f"; the first: {named[0]}" if named else "")
        notes.append((note, sum(sighting.count for sighting in seen)))
    unasked = [defect for defect in defects if defect.fact not in contract.facts]
    told = [count.warning(observed.count, observed.items) for count in counted_by_facts(unasked, observed)]
    return Agreement(
        steps=_merged(done),
        warnings=(*(f"{show(n)} of {show(observed.count)} {observed.items}: {note}" for note, n in notes), *told),
        left_out=tuple(refused),
        conversions={(step.fact, step.seen): step for step, _ in done},
    )


def check_contract(spec: BackboneSpec, facts: Mapping[str, Value]) -> None:
    """Check that an example with these facts meets the contract of an encoder; for a `prepare` of one's own.

    facts: those that a decoded value still tells (its rate, its number of channels); others are not looked at.

    Raises `InputMismatch` with the first that the contract excludes.
    """
    for fact, value in facts.items():
        wanted = spec.contract.facts.get(fact)
        if wanted is not None and not wanted.allows(value):
            raise InputMismatch(
                f"'{spec.name}' wants {words(fact)} {wanted}; it was given an example to prepare that has "
                f"{show(value, wanted.unit)}.",
                "Apply the steps of the agreement first: graftwork.agree gives them.",
            )


def followed_by(agreement: Agreement, steps: Sequence[OptionalStep], observed: ObservedInput) -> Agreement:
    """The agreement with optional steps after its conversions, each of which warns of what it loses."""
    count = observed.count
    made = (Step(step.full_name, OPTIONAL, "", "", count, step.loss) for step in steps)
    lost = (f"{show(count)} of {show(count)} {observed.items}: {step.loss}" for step in steps if step.loss)
    return replace(
        agreement,
        steps=(*agreement.steps, *made),
        warnings=(*agreement.warnings, *lost),
        optional=tuple(step.full_name for step in steps),
    )


def words(fact: str) -> str:
    """A fact's name as written in a sentence."""
    return fact.replace("_", " ")


def _convert(
    fact: str, requirement: Requirement, sighting: Sighting, offered: Sequence[Converter], prefer: Collection[str]
) -> Step | None:
    candidates = []
    for converter in offered:
        if converter.fact == fact and (to := converter.target(sighting.value, requirement)) is not None:
            loss = converter.loses(sighting.value, to)
            candidates.append((converter.name not in prefer, bool(loss), converter.name, to, loss))
    if not candidates:
        return None
    # Preferred ones, then lossless ones, then by name, so that the order of the plugins never decides.
    _, _, name, to, loss = min(candidates, key=lambda c: c[:3])
    return Step(name, fact, sighting.value, to, sighting.count, loss, sighting.example)


def _merged(done: Sequence[tuple[Step, Sighting]]) -> tuple[Step, ...]:
    """Merge the steps of a converter with the same target and loss if they are more than `MANY`; else one step per
    value.
    """
    alike: dict[tuple[str, str, Value, str], list[Step]] = {}
    for step, _ in done:
        alike.setdefault((step.converter, step.fact, step.to, step.loss), []).append(step)
    steps: list[Step] = []
    for (converter, fact, to, loss), group in alike.items():
        if len(group) <= MANY:
            steps += group
        else:
            seen = span([step.seen for step in group])
            steps.append(Step(converter, fact, seen, to, sum(s.count for s in group), loss, group[0].example))
    return tuple(steps)


def _refusal(
    who: str, fact: str, requirement: Requirement, excluded: Sequence[Sighting], observed: ObservedInput
) -> InputMismatch:
    count = sum(sighting.count for sighting in excluded)
    return InputMismatch(
        f"{who} wants {words(fact)} {requirement}; {observed.place} has "
        f"{span([s.value for s in excluded], requirement.unit)} in "
        f"{show(count)} of {show(observed.count)} {observed.items} (first: {excluded[0].example}), "
        "and no installed converter turns one into the other.",
        f"Convert the data yourself, or choose another backbone: graftwork backbones --modality {observed.modality}",
    )


def _left_out(who: str, fact: str, requirement: Requirement, sighting: Sighting) -> LeftOut:
    reason = (
        f"its {words(fact)} is {show(sighting.value, requirement.unit)}; {who[0].lower()}{who[1:]} wants {requirement}"
    )
    return LeftOut(fact, sighting.value, sighting.count, sighting.example, reason)
