"""Readers that observe, beside the facts of their modality, those that plugins add to it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

from graftwork.errors import Unhandled
from graftwork.plugins.faults import named
from graftwork.plugins.loading import installed
from graftwork.plugins.registry import added_facts
from graftwork.specs.contracts import Value
from graftwork.specs.factories import load_factory
from graftwork.specs.modality import FactSpec, Modality
from graftwork.specs.readers import Raw, Reader


def reader_of(modality: Modality, only: Collection[str] | None = None) -> Reader:
    """A reader of a modality that also observes the facts that plugins add to it.

    only: the names of those that are wanted; None for all.
    """
    own = load_factory(modality.reader)
    added = [spec for spec in added_facts(modality.name) if only is None or spec.fact.name in only]
    if not added:
        return own()
    reader = _observing(own)()
    reader.added, reader.own = added, own()
    return reader


class _Observing(Reader):
    """What comes before the modality's own reader. own: one that reads examples whole, which observers are given."""

    added: Sequence[FactSpec]
    own: Reader

    def facts(self, raw: Raw) -> Mapping[str, Value]:
        return self._with_added(raw, super().facts(raw))  # pyright: ignore[reportAbstractUsage]

    def read(self, raw: Raw) -> tuple[Mapping[str, Value], Any]:
        facts, value = super().read(raw)
        return self._with_added(raw, facts), value

    def _with_added(self, raw: Raw, facts: Mapping[str, Value]) -> Mapping[str, Value]:
        missing = [spec for spec in self.added if spec.fact.name not in facts]  # a reader's own read() may call facts()
        return {**facts, **{spec.fact.name: self._observed(spec, raw) for spec in missing}} if missing else facts

    def _observed(self, spec: FactSpec, raw: Raw) -> Value:
        found = load_factory(spec.factory)(raw, self.own)
        if isinstance(found, str | int | float) and not (isinstance(found, float) and not math.isfinite(found)):
            return found
        owner = installed().owner("facts", spec.name)
        who = f"{named(owner)} observes" if owner else "Observed is"
        raise Unhandled(
            f"'{raw.name}' cannot be read: {who} {found!r} as its {spec.fact.name.replace('_', ' ')}; a word or a "
            "finite number is accepted."
        )


@cache
def _observing(own: type[Reader]) -> type[_Observing]:
    return type(own.__name__, (_Observing, own), {})
