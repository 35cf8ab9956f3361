"""What added facts and optional steps promise: a value for every example, and examples of the same kind."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from graftwork.errors import GraftworkError, Unreadable
from graftwork.plugins import registry
from graftwork.plugins.observing import reader_of
from graftwork.specs.factories import load_factory
from graftwork.specs.modality import Modality
from graftwork.specs.readers import Raw, Reader
from graftwork.testing.cases import Nonconformance, NotChecked, Registered, check, subject
from graftwork.testing.samples import examples, sample


class _OfModality(Registered):
    """Something for a modality, and samples of it."""

    @cached_property
    def modality(self) -> Modality:
        if self.spec.modality not in {one.name for one in registry.modalities()}:
            raise NotChecked(f"The modality '{self.spec.modality}' is not installed.")
        return registry.modality(self.spec.modality)

    @cached_property
    def raws(self) -> list[Raw]:
        return [sample(self.modality, number) for number in range(4)]


@subject("facts")
class Added(_OfModality):
    """A fact that a plugin adds, under test."""


@check("facts")
def it_is_observed_of_every_example(added: Added) -> None:
    for raw in added.raws:
        reader = reader_of(added.modality, [added.spec.fact.name])
        try:
            found = [reader.facts(raw)[added.spec.fact.name] for _ in range(2)]
        except Unreadable as error:
            raise Nonconformance(
                f"The fact '{added.name}' is not observed of an example that can be read: {error}",
                "Return a word or a finite number for every example.",
            ) from error
        if found[0] != found[1]:
            raise Nonconformance(f"The fact '{added.name}' is another the second time.", "Let the example decide it.")
    if not added.spec.fact.source.strip():
        raise Nonconformance(f"The fact '{added.name}' does not say where it is read.", "Write Fact(name, source).")


@subject("steps")
class Optional(_OfModality):
    """An optional step under test."""


@check("steps")
def what_it_makes_still_fits_encoders(step: Optional) -> None:
    """Of examples that meet the contract of an encoder it makes others that do; it changes nothing that it is given."""
    convert, reader = load_factory(step.spec.factory), reader_of(step.modality, ())
    contracts = [spec.contract for spec in registry.backbones(step.spec.modality)] or [None]
    seen = 0
    for contract in contracts:
        try:
            raws = examples(step.spec.modality, 3, contract)
        except (GraftworkError, LookupError):
            continue  # no sample meets it
        for raw in raws:
            value = reader.decode(raw)
            before = _digest(reader, value)
            made, again = convert(value), convert(value)
            if not isinstance(made, type(value)) and not isinstance(value, type(made)):
                raise Nonconformance(
                    f"The step '{step.name}' makes a {type(made).__name__} of a {type(value).__name__}.",
                    "Return what was given, changed.",
                )
            if _digest(reader, value) != before:
                raise Nonconformance(f"The step '{step.name}' changes what it is given.", "Change a copy, return it.")
            if _digest(reader, made) != _digest(reader, again):
                raise Nonconformance(f"The step '{step.name}' makes something else the second time.", "Draw nothing.")
            for fact, wanted in contract.facts.items() if contract else ():
                old, new = (_facts(reader, one).get(fact) for one in (value, made))
                if old is not None and wanted.allows(old) and (new is None or not wanted.allows(new)):
                    raise Nonconformance(
                        f"The step '{step.name}' turns {fact} {old} into {new}, and an encoder wants {wanted}.",
                        "Keep what contracts ask for; what changes a fact is a Converter.",
                    )
            seen += 1
    if not seen:
        raise NotChecked(f"No sample of {step.spec.modality} can be made.")


def _facts(reader: Reader, value: Any) -> dict[str, Any]:
    try:
        return dict(reader.facts(Raw("value", value=value)))
    except Unreadable:  # the reader takes no decoded values
        return {}


def _digest(reader: Reader, value: Any) -> bytes:
    try:
        return reader.digest(Raw("value", value=value))
    except (Unreadable, AssertionError, AttributeError, TypeError):  # the same
        return repr(value).encode()
