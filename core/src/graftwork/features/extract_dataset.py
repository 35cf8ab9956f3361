"""From labelled data, at hand or in a stream, to features: each chunk agreed on, read and extracted in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from graftwork.data.pipeline import Pipeline
from graftwork.data.reading import Bad, Data, allow_bad
from graftwork.data.splits import labelled
from graftwork.features.dataset import RowBuffer
from graftwork.features.examples import Examples, LongInputs
from graftwork.features.extraction import Extractor, Features
from graftwork.specs.agreement import Agreement
from graftwork.specs.contracts import ObservedInput

Agree = Callable[[ObservedInput], Agreement]


@dataclass
class Gathered:
    """Data by the numbers of their examples, those of all chunks in turn.

    kept: the numbers of those that can be used; long: what is too long of them. left_out: the others, and those whose
    headers could not be read, which have no number. total: of all of them. features: of those that are kept.
    examples: to read them again; of a stream None. hits, misses: examples whose features were found, and computed.
    """

    observed: ObservedInput
    labels: list[str]
    splits: list[str] | None
    kept: list[int]
    long: LongInputs
    left_out: list[Bad]
    total: int
    notes: list[str]
    features: Features | None = None
    examples: Examples | None = None
    hits: int = 0
    misses: int = 0

    def count(self, features: Features) -> None:
        """Take note of features that were found and computed."""
        self.hits += features.hits
        self.misses += features.misses
        self.notes += features.notes

    def warnings(self, on_bad: str) -> list[str]:
        """Raises `DataError` where more is left out than may be."""
        named = allow_bad(self.left_out, self.total, on_bad)
        return [*named, *self.notes, *self.long.warnings(len(self.labels), self.observed.items)]

    def extend(self, other: Gathered) -> None:
        """Append what a chunk like the ones before holds, but for the values of its features."""
        assert self.features is not None
        first = len(self.labels)
        self.observed += other.observed
        self.long += other.long
        self.labels += other.labels
        if self.splits is not None and other.splits is not None:
            self.splits += other.splits
        self.kept += [first + number for number in other.kept]
        self.left_out += other.left_out
        self.total += other.total
        self.notes += [note for note in other.notes if note not in self.notes]
        self.hits += other.hits
        self.misses += other.misses
        self.features = replace(self.features, kept=self.kept)
        self.examples = None


def survey(data: Data, examples: Examples) -> Gathered:
    """Data at hand, each example read once."""
    kept, bad, long = examples.survey()
    return _gathered(data, kept, [item for _, item in bad], long, None, examples)


def gather(
    chunks: Iterable[Data], extractor: Extractor, agree: Agree, long: str, on_bad: str, keep: int = 0
) -> Gathered:
    """Extract what the chunks hold. keep: as `Examples` takes it.

    Raises `DataError` for the first example that cannot be used where `on_bad` is "error".
    """
    backbone, values = extractor.backbone, RowBuffer()
    whole: Gathered | None = None
    for chunk in chunks:
        pipeline = Pipeline(backbone.spec.contract, agree(chunk.observed), chunk.modality)
        examples = Examples(backbone, pipeline, chunk.raws, long=long, keep=keep)
        found = extractor(examples)
        values.add(found.values)
        part = _gathered(chunk, found.kept, [bad for _, bad in found.bad], found.long, found, examples)
        if on_bad == "error":
            allow_bad(part.left_out, part.total, on_bad)
        if whole is None:
            whole = part
        else:
            whole.extend(part)
    assert whole is not None, "no chunk"
    assert whole.features is not None
    whole.features = replace(whole.features, values=values.done())
    return whole


def _gathered(
    data: Data, kept: list[int], bad: list[Bad], long: LongInputs, features: Features | None, examples: Examples
) -> Gathered:
    found = Gathered(
        data.observed,
        list(labelled(data.labels)),
        None if data.splits is None else list(data.splits),
        kept,
        long,
        [*data.bad, *bad],
        len(data) + len(data.bad),
        list(data.notes),
        features,
        examples,
    )
    if features is not None:
        found.count(features)
    return found
