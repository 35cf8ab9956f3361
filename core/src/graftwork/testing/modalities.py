"""What modalities, converters, adapters and demos promise: facts are what is there, and steps do what they say."""

from __future__ import annotations

import random
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graftwork.data.reading import data as read_data
from graftwork.errors import Unreadable
from graftwork.plugins import registry
from graftwork.plugins.observing import reader_of
from graftwork.specs.contracts import Value, show
from graftwork.specs.convert import Converter
from graftwork.specs.defects import measured
from graftwork.specs.factories import load_factory
from graftwork.specs.readers import Likeness, Raw, Reader
from graftwork.tasks.task import load_task
from graftwork.testing.cases import Given, Nonconformance, NotChecked, Registered, check, subject
from graftwork.testing.samples import examples, outside, sample


@subject("modalities")
class Kind(Registered):
    """A modality under test, with its reader and some samples."""

    @cached_property
    def reader(self) -> Reader:
        return load_factory(self.spec.reader)()

    @cached_property
    def raws(self) -> list[Raw]:
        return [sample(self.spec, number) for number in range(4)]


@check("modalities")
def it_can_make_samples(kind: Kind) -> None:
    if not kind.spec.sample:
        raise Nonconformance(
            f"The modality '{kind.name}' makes no samples, without which no encoder of it can be checked.",
            "Write build(facts, rng) -> Raw and name it: Modality(sample='package.module:build').",
        )
    for number, raw in enumerate(kind.raws):
        again = sample(kind.spec, number)
        if kind.reader.identity_digest(raw) != kind.reader.identity_digest(again):
            raise Nonconformance(
                f"Sample {number} of '{kind.name}' is another one the second time.", "Draw from the rng that is given."
            )
        for fact, value in kind.reader.facts(raw).items():
            seen = kind.reader.facts(sample(kind.spec, number, {fact: value})).get(fact)
            if seen != value:
                raise Nonconformance(
                    f"A sample of '{kind.name}' that is asked for {fact} {show(value)} has {seen}.",
                    "Make what is asked for, or raise LookupError.",
                )


@check("modalities")
def its_reader_observes_what_is_declared(kind: Kind) -> None:
    declared = [fact.name for fact in kind.spec.facts]
    for raw in kind.raws:
        observed = kind.reader.facts(raw)
        if missing := [fact for fact in declared if fact not in observed]:
            raise Nonconformance(
                f"The reader of '{kind.name}' says nothing of '{missing[0]}'.", "Let facts give every declared fact."
            )
        both = kind.reader.read(raw)[0]
        if dict(both) != dict(observed):
            raise Nonconformance(f"facts and read of '{kind.name}' observe different facts.", "Let both give the same.")
        for fact, value in observed.items():
            if not isinstance(value, str | int | float):
                raise Nonconformance(
                    f"The fact '{fact}' of '{kind.name}' is a {type(value).__name__}.", "Give a word or a number."
                )


@check("modalities")
def what_cannot_be_read_is_said_to_be(kind: Kind) -> None:
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / f"empty{(kind.spec.extensions or ('',))[0]}"
        empty.touch()
        wrong = [Raw("missing", Path(folder) / "missing"), Raw("empty", empty), Raw("junk", value=object())]
        if not kind.spec.inline:
            wrong.append(Raw("noise", value=random.Random(0).randbytes(200)))
        if kind.spec.folders:
            hollow, noise = (Path(folder) / name for name in ("empty-folder", "folder-of-noise"))
            hollow.mkdir()
            noise.mkdir()
            (noise / f"1{(kind.spec.members or ('',))[0]}").write_bytes(random.Random(1).randbytes(200))
            wrong += [Raw(place.name, place) for place in (hollow, noise)]
        for raw in wrong:
            for name, ask in (("facts", kind.reader.facts), ("decode", kind.reader.decode)):
                try:
                    ask(raw)
                except Unreadable as error:
                    if "\n" in str(error) or not str(error).endswith("."):
                        raise Nonconformance(
                            f"Of an example that is {raw.name} the reader of '{kind.name}' says: {error}",
                            "Say it in one sentence.",
                        ) from error
                except Exception as error:
                    raise Nonconformance(
                        f"{name} of '{kind.name}' ends in {type(error).__name__} for an example that is {raw.name}.",
                        "Raise Unreadable (Empty for an empty one), which is named and left out.",
                    ) from error
                else:
                    raise Nonconformance(
                        f"{name} of '{kind.name}' reads an example that is {raw.name}.", "Raise Unreadable, or Empty."
                    )


@check("modalities")
def examples_are_told_apart(kind: Kind) -> None:
    for name in ("digest", "identity_digest"):
        found = [getattr(kind.reader, name)(raw) for raw in kind.raws]
        if found != [getattr(load_factory(kind.spec.reader)(), name)(raw) for raw in kind.raws]:
            raise Nonconformance(f"{name} of '{kind.name}' is another the second time.", "Digest the content alone.")
        if len(set(found)) < len(found):
            raise Nonconformance(f"{name} of '{kind.name}' is the same for different examples.", "Digest all of it.")
    for raw in kind.raws:
        size, words = kind.reader.size(raw), kind.reader.show(raw)
        if size <= 0 or "\n" in words or not words:
            raise Nonconformance(
                f"The reader of '{kind.name}' gives an example the size {size} and shows it as '{words}'.",
                "Give a size above 0, and a line of words.",
            )


@check("modalities")
def what_is_lost_is_declared_and_a_share(kind: Kind) -> None:
    facts, names = {fact.name for fact in kind.spec.facts}, {defect.name for defect in measured(kind.spec.defects)}
    if unknown := [defect for defect in kind.spec.defects if defect.fact and defect.fact not in facts]:
        raise Nonconformance(
            f"The defect '{unknown[0].name}' of '{kind.name}' is told by '{unknown[0].fact}', which is no fact of it.",
            "Name one of its facts, or none and measure it.",
        )
    for raw in kind.raws:
        for name, share in {**kind.reader.inspect(raw), **kind.reader.defects(kind.reader.decode(raw))}.items():
            if name not in names or not 0 <= share <= 1:
                raise Nonconformance(
                    f"The reader of '{kind.name}' measures the defect '{name}' as {share}.",
                    "Declare it without a fact (Modality(defects=...)), and give a share of 0 to 1.",
                )


@check("modalities")
def augmentation_follows_its_seed(kind: Kind) -> None:
    if not kind.spec.augment:
        raise NotChecked(f"The modality '{kind.name}' brings no augmentation.")
    change = load_factory(kind.spec.augment)()
    reader = kind.reader
    for raw in kind.raws:
        value = reader.decode(raw)
        torch.manual_seed(0)
        before = (random.getstate(), torch.random.get_rng_state(), np.random.get_state()[1].copy())  # pyright: ignore
        made = [change(value, random.Random(seed)) for seed in (1, 1)]
        if not all(isinstance(value, type(one)) for one in made):
            raise Nonconformance(
                f"Augmentation turns a {type(value).__name__} of '{kind.name}' into a {type(made[0]).__name__}.",
                "Return what was given, changed.",
            )
        if reader.digest(Raw("x", value=made[0])) != reader.digest(Raw("x", value=made[1])):
            raise Nonconformance(
                f"Augmentation of '{kind.name}' differs for the same seed.", "Draw from the rng that is given, alone."
            )
        after = (random.getstate(), torch.random.get_rng_state(), np.random.get_state()[1])  # pyright: ignore
        if before[0] != after[0] or not torch.equal(before[1], after[1]) or not np.array_equal(before[2], after[2]):
            raise Nonconformance(
                f"Augmentation of '{kind.name}' draws from the generator of the process, which threads share.",
                "Draw from the rng that is given, alone.",
            )


@check("modalities")
def an_example_is_like_itself(kind: Kind) -> None:
    if not kind.spec.likeness:
        raise NotChecked(f"The modality '{kind.name}' brings no likeness.")
    likeness: Likeness = load_factory(kind.spec.likeness)()
    for raw in kind.raws:
        signature = likeness.signature(raw)
        if signature is None:
            continue
        rows = np.asarray(signature)[None]
        if float(np.asarray(likeness.similarity(rows, rows))[0]) < likeness.threshold:
            raise Nonconformance(
                f"To the likeness of '{kind.name}' an example is not like itself.", "Let alike give 1 for equal rows."
            )


@subject("converters")
class Conversion(Registered):
    """A converter under test, and the values that it says it starts from."""

    def __init__(self, name: str, spec: Converter, given: Given) -> None:
        super().__init__(name, spec, given)
        self.modality = registry.modality(spec.modality)
        self.reader: Reader = reader_of(self.modality, [spec.fact])

    def starts(self) -> list[tuple[Value, Value, Raw]]:
        """Values that it turns into others: from, to, and an example."""
        found = []
        for backbone in registry.backbones():
            wanted = backbone.contract.facts.get(self.spec.fact)
            if backbone.modality != self.spec.modality or wanted is None:
                continue
            for value in outside(self.modality, self.spec.fact, wanted):
                to = self.spec.target(value, wanted)
                if to is None:
                    continue
                try:
                    raw = sample(self.modality, 0, {self.spec.fact: value})
                    seen = self.reader.facts(raw)[self.spec.fact]
                except (Unreadable, LookupError, ValueError):
                    continue
                if seen == value:
                    found.append((value, to, raw))
            if found:
                break
        return found


@check("converters")
def it_does_what_it_says(conversion: Conversion) -> None:
    spec, reader = conversion.spec, conversion.reader
    if spec.fact not in {fact.name for fact in conversion.modality.facts}:
        raise Nonconformance(
            f"The converter '{spec.name}' changes '{spec.fact}', which '{spec.modality}' does not observe.",
            "Name one of its facts.",
        )
    convert = load_factory(spec.factory)
    starts = conversion.starts()
    if not starts:
        raise NotChecked(f"No encoder here wants what '{spec.name}' makes, or no sample of it can be made.")
    for seen, to, raw in starts:
        made = convert(reader.decode(raw), seen, to)
        parts = [window.value for window in made] if spec.splits else [made]
        for part in parts:
            try:
                found = reader.facts(Raw("converted", value=part))[spec.fact]
            except Unreadable:
                continue  # the reader takes no decoded values
            reached = found == to or (spec.splits and not isinstance(found, str) and float(found) <= float(to))
            if not reached:
                raise Nonconformance(
                    f"The converter '{spec.name}' says that it turns {spec.fact} {show(seen)} into {show(to)}; what "
                    "comes "
                    f"out has {show(found)}.",
                    "Mend the converter, or what it says that it gives.",
                )
        if not isinstance(spec.loses(seen, to), str):
            raise Nonconformance(
                f"loss of '{spec.name}' gives no words.", "Return a string, empty where nothing is lost."
            )


@check("adapters")
def it_makes_what_it_promises(adaptation: Registered) -> None:
    spec = adaptation.spec
    source, target = registry.modality(spec.contract.modality), registry.modality(spec.target)
    reader: Reader = load_factory(source.reader)()
    made_by: Reader = load_factory(target.reader)()
    adapt = load_factory(spec.factory)
    for raw in examples(source.name, 2, spec.contract):
        facts = made_by.facts(Raw("adapted", value=adapt(reader.decode(raw))))
        wrong = [fact for fact, value in spec.gives.items() if facts.get(fact) != value]
        if wrong:
            raise Nonconformance(
                f"The adapter '{spec.full_name}' promises {wrong[0]} {spec.gives[wrong[0]]} and makes "
                f"{facts.get(wrong[0])}.",
                "Mend gives, or the adapter.",
            )


@check("demos")
def its_data_can_be_fitted(tour: Registered) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place: Any = load_factory(tour.spec.data)(Path(folder))
        data = read_data(place, task=tour.spec.task)
        task = load_task(tour.spec.task)
        known = len(task.encode(data.labels).names) if data.labels else 0
        if data.modality.name != tour.spec.modality or data.bad or known < (2 if task.spec.names else 1):
            raise Nonconformance(
                f"The demo '{tour.name}' holds {len(data)} examples of {data.modality.name}, {len(data.bad)} of them "
                "unreadable, or fewer than two labels.",
                "Give whole, labelled data of its modality.",
            )
        if not tour.spec.baseline:
            return
        reader: Reader = load_factory(data.modality.reader)()
        values = [reader.decode(raw) for raw in data.raws[:4]]
        features = np.asarray(load_factory(tour.spec.baseline)(values))
        if features.ndim != 2 or len(features) != len(values):
            raise Nonconformance(
                f"The baseline of the demo '{tour.name}' gives {features.shape} for {len(values)} examples.",
                "Return (N, F).",
            )
