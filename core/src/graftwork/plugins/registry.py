"""Look up registered specs by the name that a user gives, and name the nearest ones if there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

from graftwork.errors import UnknownName, UsageError, WeightsUnavailable
from graftwork.plugins.loading import installed
from graftwork.plugins.resolving import resolve
from graftwork.specs.agreement import Agreement, Step, agree, followed_by
from graftwork.specs.annotations import AnnotationSpec
from graftwork.specs.backbone import BackboneSpec
from graftwork.specs.contracts import InputContract, ObservedInput, show
from graftwork.specs.convert import Adapter, Converter, OptionalStep, step_names
from graftwork.specs.decoder import DecoderSpec
from graftwork.specs.demo import Demo
from graftwork.specs.engine import EngineSpec
from graftwork.specs.factories import load_factory
from graftwork.specs.freeze_policy import FreezePolicySpec
from graftwork.specs.logger import LoggerSpec
from graftwork.specs.modality import FactSpec, Modality
from graftwork.specs.pretraining import ArchitectureSpec, ObjectiveSpec
from graftwork.specs.returns import returned
from graftwork.specs.source import SourceSpec
from graftwork.specs.task import HeadSpec, TaskSpec


def modalities() -> list[Modality]:
    """The modalities, with the facts that plugins add to them."""
    return [_with_added(found) for found in installed().registered["modalities"].values()]


def modality(name: str) -> Modality:
    """The modality of this name, with the facts that plugins add to it.

    Raises `UnknownName` if no installed plugin brings it.
    """
    return _with_added(_named("modalities", "modality", name, "graftwork plugins --kind modalities"))


def added_facts(modality_name: str) -> list[FactSpec]:
    """The facts that plugins add to a modality, sorted by name."""
    found = installed().registered["facts"].values()
    return sorted((spec for spec in found if spec.modality == modality_name), key=lambda spec: spec.name)


def _with_added(modality: Modality) -> Modality:
    added = tuple(spec.fact for spec in added_facts(modality.name))
    return replace(modality, facts=(*modality.facts, *added)) if added else modality


def backbones(modality_name: str | None = None) -> list[BackboneSpec]:
    """The declared backbones, sorted by name. Raises `UnknownName` for a modality that no plugin brings."""
    specs = sorted(installed().registered["backbones"].values(), key=lambda spec: spec.name)
    if modality_name is None:
        return specs
    modality(modality_name)
    return [spec for spec in specs if spec.modality == modality_name]


def backbone(name: str) -> BackboneSpec:
    """The spec of a declared backbone, or the one that a resolver makes of `scheme:id`.

    Raises `UnknownName` with the nearest names, or what the resolver raises.
    """
    scheme, colon, identifier = name.partition(":")
    if colon and "/" not in scheme:
        return resolve(name, scheme, identifier)
    return _named("backbones", "backbone", name, "graftwork backbones")


def starter(modality_name: str, adapter_name: str = "") -> BackboneSpec:
    """The default backbone: with weights on this machine, declared starters first, then the smallest; those that
    learned nothing, or whose size is not known, last.

    With an adapter it is one of the adapter's target modality.

    Raises `WeightsUnavailable` if no backbone of the modality has its weights on this machine.
    """
    modality_name = adapter(adapter_name).target if adapter_name else modality_name
    candidates = backbones(modality_name)
    at_hand = [spec for spec in candidates if spec.weights.at_hand]
    if at_hand:
        return min(at_hand, key=lambda spec: (not spec.starter, spec.parameters or math.inf, spec.name))
    listed = ", ".join(f"'{spec.name}'" for spec in candidates) or "none"
    raise WeightsUnavailable(
        f"No {modality_name} backbone has its weights on this machine; installed without weights: {listed}.",
        "Name one with --backbone to fetch it, or install a starter; see: graftwork backbones",
    )


def task(name: str) -> TaskSpec:
    return _named("tasks", "task", name, "graftwork plugins --kind tasks")


def head(name: str) -> HeadSpec:
    return _named("heads", "head", name, "graftwork plugins --kind heads")


def freeze_policy(name: str) -> FreezePolicySpec:
    return _named("freeze_policies", "freeze policy", name, "graftwork plugins --kind freeze-policies")


def converters() -> list[Converter]:
    return list(installed().registered["converters"].values())


def converter(modality_name: str, name: str) -> Converter:
    return _named("converters", "converter", f"{modality_name}:{name}", "graftwork plugins --kind converters")


def decoder(name: str) -> DecoderSpec:
    """The spec of a decoder. Raises `UnknownName` if no installed plugin brings it."""
    return _named("decoders", "decoder", name, "graftwork plugins --kind decoders")


def decoder_for(modality_name: str, name: str, device: str) -> DecoderSpec | None:
    """The decoder of this name for examples of a modality on a type of device; for "auto" the one that is the default
    there, and for "reader" none.

    Raises `UnknownName`, and `UsageError` for one that does not work on the device.
    """
    if name == "reader":
        return None
    if name == "auto":
        known = installed().registered["decoders"].values()
        fit = (spec for spec in known if spec.modality == modality_name and device in spec.default)
        return next(fit, None)
    spec = decoder(name)
    if spec.modality != modality_name or device not in spec.devices:
        raise UsageError(
            f"The decoder '{name}' decodes {spec.modality} on {' and '.join(spec.devices)}; here it is {modality_name} "
            f"on {device}.",
            "Leave the choice to 'auto', or name 'reader'.",
        )
    return spec


def demo(name: str) -> Demo:
    return _named("demos", "demo", name, "graftwork plugins --kind demos")


def architecture(name: str) -> ArchitectureSpec:
    return _named("architectures", "architecture", name, "graftwork plugins --kind architectures")


def objective(name: str) -> ObjectiveSpec:
    return _named("objectives", "objective", name, "graftwork plugins --kind objectives")


def logger(name: str) -> LoggerSpec:
    """The spec of a logger. Raises `UnknownName` if no installed plugin brings it."""
    return _named("loggers", "logger", name, "graftwork plugins --kind loggers")


def engines() -> list[EngineSpec]:
    """The engines that installed plugins bring, in the order of their registration: the core's first."""
    return list(installed().registered["engines"].values())


def engine(name: str) -> EngineSpec:
    """The spec of an engine. Raises `UnknownName` if no installed plugin brings it."""
    return _named("engines", "engine", name, "graftwork machine")


def source(scheme: str) -> SourceSpec:
    """The spec of a scheme of addresses. Raises `UnknownName` if no installed plugin reads them."""
    found = installed().get("sources", scheme)
    if found is not None:
        return found
    known = ", ".join(f"{name}://" for name in sorted(installed().registered["sources"]))
    raise UnknownName(
        f"No installed plugin reads addresses of {scheme}://; installed ones read {known}{installed().disabled()}.",
        "Fetch the data yourself, and name the folder or file.",
    )


def annotation_formats() -> list[AnnotationSpec]:
    """The formats of label files, sorted by name."""
    return sorted(installed().registered["annotations"].values(), key=lambda spec: spec.name)


def adapter(name: str) -> Adapter:
    return _named("adapters", "adapter", name, "graftwork plugins --kind adapters")


def optional_step(name: str) -> OptionalStep:
    """The optional step of this name, `modality:name`.

    Raises `UnknownName` with the nearest name and the list.
    """
    plugins = installed()
    found = plugins.get("steps", name)
    if found is not None:
        return found
    known = ", ".join(sorted(plugins.registered["steps"])) or "none"
    raise UnknownName(
        f"No optional step is called '{name}'{plugins.near('steps', name)}.",
        f"Installed are {known}; name one of them with --convert, or leave it out.",
    )


def optional_steps(names: str | Iterable[str]) -> list[OptionalStep]:
    """The optional steps of these names, in this order.

    Raises `UnknownName`, and `UsageError` for one that is named twice.
    """
    found = [optional_step(name) for name in step_names(names)]
    if twice := [step.full_name for place, step in enumerate(found) if step in found[:place]]:
        raise UsageError(f"--convert names '{twice[0]}' twice; a step is done once.", "Name it once.")
    return found


def agree_on(
    spec: BackboneSpec,
    observed: ObservedInput,
    adapter_name: str = "",
    *,
    convert: str | Iterable[str] = (),
    may_leave_out: float = 0.0,
    prefer: Collection[str] = (),
) -> Agreement:
    """`agree` with all that is installed: its converters, and the names that its message needs.

    adapter_name: the adapter that the user named, which turns the observed examples into examples of the encoder's
    modality. The note of the encoder's spec is added to the warnings. convert: names of optional steps, which follow
    the conversions within their modality.

    Raises `UsageError` if the adapter does not lead from the one modality to the other, or a step is for neither,
    `UnknownName`, and what `agree` raises.
    """
    notes, steps = (spec.note,) if spec.note else (), optional_steps(convert)

    def one(contract: InputContract, observed: ObservedInput, who: str) -> Agreement:
        agreed = agree(
            contract,
            observed,
            converters(),
            may_leave_out=may_leave_out,
            prefer=prefer,
            defects=next((m.defects for m in modalities() if m.name == observed.modality), ()),
            backbone=who,
            nouns={m.name: m.noun for m in modalities()},
            alternatives=[
                s.name
                for s in sorted(installed().registered["backbones"].values(), key=lambda s: s.name)
                if s.modality == observed.modality
            ],
        )
        return followed_by(agreed, [step for step in steps if step.modality == observed.modality], observed)

    if not adapter_name:
        agreed = one(spec.contract, observed, spec.name)
        _check_modality(steps, observed, spec)
        return replace(agreed, warnings=(*notes, *agreed.warnings))
    chosen = adapter(adapter_name)
    if (observed.modality, spec.modality) != (chosen.contract.modality, chosen.target):
        raise UsageError(
            f"The adapter '{adapter_name}' leads from {chosen.contract.modality} to {chosen.target}; "
            f"{observed.place} holds {observed.modality} and '{spec.name}' reads {spec.modality}.",
            "Leave out --adapter, or name one that leads from the one to the other.",
        )
    before = one(chosen.contract, observed, spec.name)
    _check_modality(steps, observed, spec)
    examples = ((observed.place, chosen.gives) for _ in range(observed.count))
    made = modality(chosen.target).observed(f"{observed.place} through {adapter_name}", examples, observed.items)
    after = one(spec.contract, made, spec.name)
    loss = f"{show(observed.count)} of {show(observed.count)} {observed.items}: {chosen.loss}"
    step = Step(chosen.name, "modality", chosen.contract.modality, chosen.target, observed.count, chosen.loss)
    return replace(
        before,
        steps=(*before.steps, step, *after.steps),
        warnings=(*notes, *before.warnings, loss, *after.warnings),
        left_out=(*before.left_out, *after.left_out),
        adapter=adapter_name,
        then=after,
    )


def _check_modality(steps: Iterable[OptionalStep], observed: ObservedInput, spec: BackboneSpec) -> None:
    """Raises `UsageError` for a step of another modality than that of the data or of the encoder."""
    for step in steps:
        if step.modality not in (observed.modality, spec.modality):
            raise UsageError(
                f"--convert {step.full_name} is for the modality '{step.modality}'; {observed.place} holds "
                f"{observed.modality}.",
                "Leave it out.",
            )


def reads(spec: BackboneSpec, adapter_name: str = "") -> InputContract:
    """The contract that data must meet for an encoder: its own, or that of the adapter that leads to it."""
    return adapter(adapter_name).contract if adapter_name else spec.contract


def preparer(spec: BackboneSpec) -> Callable[[list[Any]], Any]:
    """The standard preparation of the backbone's modality, made for its spec: it turns decoded values into a `State`.

    Raises `UsageError` if the modality brings none; the backbone must then define `prepare`.
    """
    factory = modality(spec.modality).preparer
    if not factory:
        raise UsageError(
            f"The modality '{spec.modality}' brings no standard preparation.", "Define prepare() in the backbone."
        )
    return returned(load_factory(factory)(spec), Callable, factory)


def _named(kind: str, noun: str, name: str, command: str) -> Any:
    plugins = installed()
    found = plugins.get(kind, name)
    if found is not None:
        return found
    raise UnknownName(f"No {noun} is called '{name}'{plugins.near(kind, name)}.", f"List all: {command}")
