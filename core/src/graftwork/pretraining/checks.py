"""Checks of a `pretrain` request before a network is made: names, modality, amount of data, the teacher's input."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

from graftwork.data.reading import Data
from graftwork.errors import DataError, InputMismatch, UsageError
from graftwork.plugins import registry
from graftwork.runtime.parallel import prefetch_map
from graftwork.specs.backbone import BackboneSpec
from graftwork.specs.contracts import Exactly, ObservedInput, Within, show
from graftwork.specs.factories import load_factory
from graftwork.specs.pretraining import ArchitectureSpec, ObjectiveSpec

if TYPE_CHECKING:
    from graftwork.specs.readers import Raw


def sized(word: str) -> tuple[ArchitectureSpec, str]:
    """An architecture and one of its sizes, from `name` or `name-size`. Raises `UsageError`, `UnknownName`."""
    name, dash, size = word.rpartition("-")
    if dash:
        with contextlib.suppress(LookupError):
            known = registry.installed().registered["architectures"][name]
            if size in known.sizes:
                return known, size
            raise UsageError(
                f"The architecture '{name}' has no size '{size}'; its sizes are {', '.join(known.sizes)}.",
                f"Write: --architecture {name}-{next(iter(known.sizes))}",
            )
    found = registry.architecture(word)
    return found, next(iter(found.sizes))


def check_objective(objective: ObjectiveSpec, architecture: ArchitectureSpec, teacher: str | None) -> None:
    """Raises `UsageError` if the objective does not support the architecture, lacks its teacher, or has none."""
    if objective.architectures and architecture.name not in objective.architectures:
        raise UsageError(
            f"The objective '{objective.name}' is for {', '.join(objective.architectures)}, not for "
            f"'{architecture.name}'.",
            "See what there is: graftwork plugins --kind objectives",
        )
    if objective.teacher and not teacher:
        raise UsageError(
            f"The objective '{objective.name}' learns from an encoder, and none is named.", "Add: --teacher NAME"
        )
    if teacher and not objective.teacher:
        raise UsageError(f"The objective '{objective.name}' has no teacher.", "Leave out --teacher.")


def check_modality(architecture: ArchitectureSpec, data: Data) -> None:
    """Raises `InputMismatch` for data of another modality than the architecture's."""
    if data.modality.name != architecture.modality:
        expected = registry.modality(architecture.modality).noun
        near = [a.name for a in registry.installed().registered["architectures"].values()]
        fitting = [name for name in near if registry.architecture(name).modality == data.modality.name]
        raise InputMismatch(
            f"The architecture '{architecture.name}' learns from {expected}; {data.observed.place} holds "
            f"{data.modality.noun}.",
            f"Architectures for {data.modality.noun}: {', '.join(fitting) or 'none is installed'}.",
        )


def amount(data: Data, objective: ObjectiveSpec, allow_little: bool) -> tuple[float, str]:
    """The amount of data and its unit: hours for a fact in seconds, else in the unit of the fact, or the number of
    examples.

    Raises `DataError` if the objective needs more.
    """
    fact, least = data.modality.amount, objective.least.get(data.modality.name, 0.0)
    unit = data.modality.units.get(fact, "")
    if fact:
        reader = load_factory(data.modality.reader)()

        def one(raw: Raw) -> float:
            return float(reader.facts(raw)[fact])

        found = math.fsum(prefetch_map(one, data.raws))
    else:
        found = float(len(data))
    if found < least and not allow_little:
        there, required = (
            show(round(number, 1), unit) if unit else f"{number:,.0f} examples" for number in (found, least)
        )
        raise DataError(
            f"{data.observed.place} holds {there} of {data.modality.noun}; the objective '{objective.name}' wants at "
            f"least {required}.",
            "Give more data, or go on with what there is: --allow-little",
        )
    return (found / 3600, "hours") if unit == "s" else (found, unit or "examples")


def check_same(student: BackboneSpec, teacher: BackboneSpec, observed: ObservedInput) -> None:
    """Raises `InputMismatch` if the teacher would read an example of the data differently from the network."""
    if teacher.modality != student.modality:
        raise InputMismatch(
            f"The teacher '{teacher.name}' reads {teacher.modality}; the network reads {student.modality}.",
            f"Name another: graftwork backbones --modality {student.modality}",
        )
    for name, theirs in teacher.contract.facts.items():
        ours = student.contract.facts.get(name)
        differ = f"The teacher '{teacher.name}' was pretrained on {name} {theirs}; the network reads {ours}"
        if (isinstance(theirs, Exactly) or isinstance(ours, Exactly)) and theirs != ours:
            raise InputMismatch(
                f"{differ}.", "Name another teacher, or give the network what it reads: --set FIELD=VALUE"
            )
        if isinstance(theirs, Within) and isinstance(ours, Within) and theirs.high != ours.high:
            both = min(theirs.high, ours.high)
            for seen in observed.facts.get(name, ()):
                if not Within(-math.inf, both).allows(seen.value):  # longer examples would be cut in different places
                    raise InputMismatch(
                        f"{differ}, and '{seen.example}' has {show(seen.value, theirs.unit)}.",
                        f"Cut the data to {show(both, theirs.unit)}, or name another teacher.",
                    )
