"""From an example as it was given to the values that an encoder's `prepare` takes: read, converted, adapted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from graftwork.agreement import Agreement
from graftwork.contracts import InputContract, Value
from graftwork.errors import Unreadable
from graftwork.readers import Raw, Reader, Window
from graftwork.registry import adapter, converter
from graftwork.registry import modality as find_modality
from graftwork.specs import Modality, load_factory


class Pipeline:
    """Reads one example and applies the conversions that were agreed on, as far as it needs them."""

    def __init__(self, contract: InputContract, agreement: Agreement, modality: Modality) -> None:
        self.reader: Reader = load_factory(modality.reader)()
        self._adapter: Callable[[Any], Any] | None = None
        self._after: Pipeline | None = None
        if agreement.adapter and agreement.then is not None:
            chosen = adapter(agreement.adapter)
            self._adapter = load_factory(chosen.factory)
            self._after = Pipeline(contract, agreement.then, find_modality(chosen.target))
            contract = chosen.contract
        # In the order that the modality declares, which no contract and no plugin can change.
        order = {fact.name: place for place, fact in enumerate(modality.facts)}
        demanded = [(fact, wanted) for fact, wanted in contract.facts.items() if wanted.demands]
        self._facts = sorted(demanded, key=lambda item: order.get(item[0], len(order)))
        self._left_out = {(item.fact, item.seen): item for item in agreement.left_out}
        self._steps: dict[tuple[str, Value], tuple[Callable[..., Any], Value, bool]] = {}
        for key, step in agreement.conversions.items():
            spec = converter(modality.name, step.converter)
            self._steps[key] = (load_factory(spec.factory), step.to, spec.splits)

    def memory(self, value: Any) -> int:
        """The bytes that a value takes which came out of this."""
        return self._after.memory(value) if self._after else self.reader.memory(value)

    def __call__(self, raw: Raw) -> list[Window]:
        """The values that `prepare` takes: one, or the windows of one that is too long to be read at once.

        Raises `Unreadable`, also for an example that was agreed to be left out or changed since.
        """
        facts, value = self.reader.read(raw)
        windows = [Window(value, 1.0)]
        for fact, wanted in self._facts:
            seen = facts[fact]
            if wanted.allows(seen):
                continue
            if (fact, seen) in self._left_out:
                raise Unreadable(replace(self._left_out[fact, seen], example=self.reader.show(raw)).sentence)
            if (fact, seen) not in self._steps:
                raise Unreadable(f"'{self.reader.show(raw)}' changed while it was used: its {fact} is now {seen}.")
            convert, to, splits = self._steps[fact, seen]
            made = [(convert(window.value, seen, to), window.share) for window in windows]
            if splits:
                windows = [Window(part.value, part.share * share) for parts, share in made for part in parts]
            else:
                windows = [Window(value, share) for value, share in made]
        if self._adapter is None or self._after is None:
            return windows
        adapted = [(self._after(Raw(raw.name, value=self._adapter(w.value))), w.share) for w in windows]
        return [Window(part.value, part.share * share) for parts, share in adapted for part in parts]
