"""Extract the features of labelled data, in memory or in a stream: each chunk is agreed on, read and computed in
turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from graftwork.data.pipeline import Pipeline
from graftwork.data.reading import Bad, Data, allow_bad
from graftwork.data.splits import labelled
from graftwork.features.dataset import RowBuffer
from graftwork.features.examples import Examples, Scan
from graftwork.features.extraction import Extractor, Features
from graftwork.features.long_inputs import LongInputs
from graftwork.models.engines.runner import Choice
from graftwork.specs.agreement import Agreement
from graftwork.specs.contracts import InputContract, ObservedInput
from graftwork.specs.defects import DefectCount, added, counted_by_facts
from graftwork.specs.modality import Modality
from graftwork.specs.task import RawLabel

Agree = Callable[[ObservedInput], Agreement]


@dataclass(frozen=True)
class Extracted:
    """Labelled data as read, and their features. Examples have numbers, counted through all chunks.

    labels, splits: of all examples, as the data have them. kept: the numbers of the usable ones. values: their features
    `(len(kept), D)`, None if they were only read. engine, precision, cosine, calibration, decoder: see
    `Features`. long, defects: the long inputs among them, and what was measured to be lost of them.
    left_out: the other examples, and those whose headers could not be read, which have no number. total: of all.
    examples: to read them again; None for a stream of several chunks. hits, misses: the numbers of features found in
    the store and computed.
    """

    observed: ObservedInput
    labels: list[RawLabel]
    splits: list[str] | None
    kept: list[int]
    long: LongInputs
    defects: tuple[DefectCount, ...]
    left_out: list[Bad]
    total: int
    notes: list[str]
    values: Tensor | None = None
    engine: str = "torch"
    precision: str = "fp32"
    decoder: str = ""
    cosine: float | None = None
    examples: Examples | None = None
    hits: int = 0
    misses: int = 0
    calibration: str = ""

    @property
    def choice(self) -> Choice:
        """The engine and precision."""
        return Choice(self.engine, self.precision)

    def counting(self, features: Features) -> Extracted:
        """The same, with the hits, misses and notes of `features` added."""
        notes = [*self.notes, *(note for note in features.notes if note not in self.notes)]
        return replace(self, hits=self.hits + features.hits, misses=self.misses + features.misses, notes=notes)

    def lost(self, modality: Modality, contract: InputContract) -> list[dict[str, Any]]:
        """The defects of these data that matter to an encoder, by their facts and as measured, as JSON values."""
        told = counted_by_facts(modality.defects, self.observed, contract)
        return [count.as_json() for count in (*told, *self.defects)]

    def warnings(self, on_bad: str) -> list[str]:
        """The warnings about these data. Raises `DataError` if more examples are left out than allowed."""
        named = allow_bad(self.left_out, self.total, on_bad)
        of = len(self.labels), self.observed.items
        return [*named, *self.notes, *self.long.warnings(*of), *(count.warning(*of) for count in self.defects)]


def scan(data: Data, examples: Examples) -> Extracted:
    """Read each example of data in memory once, without computing features."""
    found = examples.scan()
    return _extracted(data, found, examples)


def extract_dataset(
    chunks: Iterable[Data], extractor: Extractor, agree: Agree, long: str, on_bad: str, keep: int = 0
) -> Extracted:
    """Extract the features of all chunks.

    agree: the agreement for the observed input of a chunk. keep: as `Examples` takes it.

    Raises `DataError` for the first unusable example if `on_bad` is "error".
    """
    backbone, values = extractor.backbone, RowBuffer()
    parts: list[Extracted] = []
    for chunk in chunks:
        pipeline = Pipeline(backbone.spec.contract, agree(chunk.observed), chunk.modality)
        examples = Examples(backbone, pipeline, chunk.raws, long=long, keep=keep)
        found = extractor(examples)
        values.add(found.values)
        part = _extracted(chunk, found, examples).counting(found)
        if on_bad == "error":
            allow_bad(part.left_out, part.total, on_bad)
        if parts:  # of several chunks none is kept
            parts[-1] = replace(parts[-1], examples=None)
        parts.append(
            replace(
                part,
                engine=found.engine,
                precision=found.precision,
                cosine=found.cosine,
                calibration=found.calibration,
                decoder=found.decoder,
            )
        )
    return replace(_joined(parts), values=values.done())


def _joined(parts: list[Extracted]) -> Extracted:
    """The chunks of one source as one."""
    first, *others = parts
    if not others:
        return first
    observed, long, defects = first.observed, first.long, first.defects
    labels, splits = list(first.labels), None if first.splits is None else list(first.splits)
    kept, left_out, notes = list(first.kept), list(first.left_out), list(first.notes)
    for part in others:
        observed += part.observed
        long += part.long
        defects = added(defects, part.defects)
        kept += [len(labels) + number for number in part.kept]
        labels += part.labels
        if splits is not None:
            splits += part.splits or []
        left_out += part.left_out
        notes += [note for note in part.notes if note not in notes]
    return replace(
        parts[-1],
        observed=observed,
        labels=labels,
        splits=splits,
        kept=kept,
        long=long,
        defects=defects,
        left_out=left_out,
        total=sum(part.total for part in parts),
        notes=notes,
        examples=None,
        hits=sum(part.hits for part in parts),
        misses=sum(part.misses for part in parts),
    )


def _extracted(data: Data, found: Scan | Features, examples: Examples) -> Extracted:
    return Extracted(
        data.observed,
        list(labelled(data.labels)),
        None if data.splits is None else list(data.splits),
        found.kept,
        found.long,
        found.defects,
        [*data.bad, *(bad for _, bad in found.bad)],
        len(data) + len(data.bad),
        list(data.notes),
        examples=examples,
    )
