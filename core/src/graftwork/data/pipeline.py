"""From an example as given to the values that an encoder's `prepare` takes: read, converted, adapted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from graftwork.errors import PluginFault, Unreadable, UsageError
from graftwork.plugins.code_digest import made_by
from graftwork.plugins.faults import one_example
from graftwork.plugins.observing import reader_of
from graftwork.plugins.registry import adapter, converter, optional_step
from graftwork.plugins.registry import modality as find_modality
from graftwork.specs.agreement import Agreement
from graftwork.specs.contracts import InputContract, Value
from graftwork.specs.defects import Defect, measured
from graftwork.specs.factories import load_factory
from graftwork.specs.modality import Modality
from graftwork.specs.readers import Raw, Reader, Window

Found = TypeVar("Found")


def _of_one_example(method: Callable[[Any, Raw], Found]) -> Callable[[Any, Raw], Found]:
    """A method about one example, which is unreadable where a plugin's code fails on it."""

    @wraps(method)
    def guarded(self: Any, raw: Raw) -> Found:
        with one_example(lambda: raw.name):
            return method(self, raw)

    return guarded


class _Conversion(NamedTuple):
    """A function that converts one value of a fact to another. identity: names it and the digest of its code."""

    convert: Callable[..., Any]
    to: Value
    splits: bool
    identity: bytes


class Pipeline:
    """Reads one example and applies the agreed conversions that it needs, then the optional steps.

    whole: every position of an example counts, so the reader may skip nothing of it.
    """

    def __init__(
        self, contract: InputContract, agreement: Agreement, modality: Modality, *, whole: bool = False
    ) -> None:
        demands = adapter(agreement.adapter).contract if agreement.adapter else contract
        wanted = [fact for fact, requirement in demands.facts.items() if requirement.demands]
        self.reader: Reader = reader_of(modality, wanted)
        steps = [optional_step(name) for name in agreement.optional]
        self._optional = [(step, load_factory(step.factory)) for step in steps]
        if not agreement.adapter and not whole and not steps:  # a step may need what preparation would throw away
            self.reader.prepare_decode(contract.preparation)
        self._reads = modality.reader
        self._measured = measured(modality.defects)
        self._adapts = ""
        self._adapter: Callable[[Any], Any] | None = None
        self._after: Pipeline | None = None
        if agreement.adapter and agreement.then is not None:
            chosen = adapter(agreement.adapter)
            self._adapter = load_factory(chosen.factory)
            self._adapts = f"{agreement.adapter} {made_by(chosen.factory)}"
            self._after = Pipeline(contract, agreement.then, find_modality(chosen.target))
            contract = chosen.contract
        # The modality's order, so that no contract and no plugin can change it.
        order = {fact.name: place for place, fact in enumerate(modality.facts)}
        demanded = [(fact, requirement) for fact, requirement in contract.facts.items() if requirement.demands]
        self._facts = sorted(demanded, key=lambda item: order.get(item[0], len(order)))
        self._left_out = {(item.fact, item.seen): item for item in agreement.left_out}
        self._steps: dict[tuple[str, Value], _Conversion] = {}
        for key, step in agreement.conversions.items():
            spec = converter(modality.name, step.converter)
            words = f"{step.converter} {made_by(spec.factory)} {key!r} {step.to!r}"
            self._steps[key] = _Conversion(load_factory(spec.factory), step.to, spec.splits, words.encode())

    @_of_one_example
    def identity(self, raw: Raw) -> bytes:
        """A digest of the raw example and of its conversions on the way to `prepare`. Cache key.

        Raises `Unreadable`.
        """
        sha = hashlib.blake2b(self.reader.identity_digest(raw), digest_size=16)
        if self._steps:
            facts = self.reader.facts(raw)
            for fact, requirement in self._facts:
                step = self._steps.get((fact, facts[fact]))
                if step is not None and not requirement.allows(facts[fact]):
                    sha.update(step.identity)
        return sha.digest()

    @property
    def about(self) -> dict[str, Any]:
        """What decides the result besides the example and `identity`, as JSON values."""
        found: dict[str, Any] = {"reader": made_by(self._reads)}
        if self._optional:
            found["optional"] = [f"{step.full_name} {made_by(step.factory)}" for step, _ in self._optional]
        if self._after is not None:
            steps = sorted(step.identity.hex() for step in self._after._steps.values())
            found |= {"adapter": self._adapts, "then": self._after.about, "steps": steps}
        return found

    @property
    def defects(self) -> tuple[Defect, ...]:
        """The measured defects of the values that it makes."""
        return self._after.defects if self._after else self._measured

    def measure(self, windows: Sequence[Window]) -> dict[str, float]:
        """The share, 0..1, of each measured defect in values that this pipeline made of one example."""
        if self._after is not None:
            return self._after.measure(windows)
        found: dict[str, float] = {}
        whole = sum(window.weight for window in windows)
        for window in windows if self._measured else ():
            for name, share in self.reader.defects(window.value).items():
                found[name] = found.get(name, 0.0) + share * window.weight / whole
        return found

    def memory(self, value: Any) -> int:
        """The memory that a value returned by this pipeline takes, in bytes."""
        return self._after.memory(value) if self._after else self.reader.memory(value)

    @_of_one_example
    def as_it_is(self, raw: Raw) -> bool:
        """Whether an example meets the contract without a conversion. Raises `Unreadable`."""
        if self._optional:
            return False
        facts = self.reader.facts(raw) if self._facts else {}
        return self._after is None and all(requirement.allows(facts[fact]) for fact, requirement in self._facts)

    @_of_one_example
    def refused(self, raw: Raw) -> str:
        """Why the agreement leaves an example out, by its facts alone: a sentence; empty if it does not."""
        facts = self.reader.facts(raw)
        for fact, requirement in self._facts:
            item = self._left_out.get((fact, facts[fact]))
            if item is not None and not requirement.allows(facts[fact]):
                return replace(item, example=self.reader.show(raw)).sentence
        return ""

    @_of_one_example
    def __call__(self, raw: Raw) -> list[Window]:
        """The values for `prepare`: one, or the windows of one that is too long to be read at once.

        Raises `Unreadable`, also for an example that the agreement leaves out, or that has changed since.
        """
        facts, value = self.reader.read(raw)
        windows = [Window(value, 1.0)]
        for convert, seen, to, splits in self._needed(raw, facts):
            made = [(convert(window.value, seen, to), window.weight) for window in windows]
            if splits:
                windows = [Window(part.value, part.weight * weight) for parts, weight in made for part in parts]
            else:
                windows = [Window(value, weight) for value, weight in made]
        windows = [Window(self._stepped(window.value), window.weight) for window in windows]
        if self._adapter is None or self._after is None:
            return windows
        adapted = [(self._after(Raw(raw.name, value=self._adapter(w.value))), w.weight) for w in windows]
        return [Window(part.value, part.weight * weight) for parts, weight in adapted for part in parts]

    @_of_one_example
    def whole(self, raw: Raw) -> tuple[Mapping[str, Value], Any]:
        """The facts of an example as given, and its value in one, however long: without the conversions that split.

        Raises `Unreadable` as a call does, and `UsageError` behind an adapter, through which no position is known.
        """
        if self._adapter is not None:
            raise UsageError(
                "Answers that lie in the input cannot be led back through an adapter.", "Leave out --adapter."
            )
        facts, value = self.reader.read(raw)
        for convert, seen, to, splits in self._needed(raw, facts):
            value = value if splits else convert(value, seen, to)
        return facts, self._stepped(value)

    def _stepped(self, value: Any) -> Any:
        """The value after the optional steps. Raises `PluginFault` for a step that gives something else."""
        for step, convert in self._optional:
            made = convert(value)
            if not isinstance(made, type(value)) and not isinstance(value, type(made)):
                raise PluginFault(
                    f"The optional step '{step.full_name}' made a {type(made).__name__} of a {type(value).__name__}.",
                    "Leave out --convert, or update its plugin.",
                    factory=step.factory,
                )
            value = made
        return value

    def _needed(self, raw: Raw, facts: Mapping[str, Value]) -> Iterator[tuple[Callable[..., Any], Value, Value, bool]]:
        """The conversions that an example needs: the function, the value seen, that wanted, whether it splits."""
        for fact, requirement in self._facts:
            seen = facts[fact]
            if requirement.allows(seen):
                continue
            if (fact, seen) in self._left_out:
                raise Unreadable(replace(self._left_out[fact, seen], example=self.reader.show(raw)).sentence)
            if (fact, seen) not in self._steps:
                raise Unreadable(f"'{self.reader.show(raw)}' changed while it was used: its {fact} is now {seen}.")
            convert, to, splits, _ = self._steps[fact, seen]
            yield convert, seen, to, splits
