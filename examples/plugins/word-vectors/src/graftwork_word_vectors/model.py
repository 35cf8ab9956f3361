"""Word vectors as a backbone: one stage that looks words up, and the mean of what it finds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from graftwork import (
    Backbone,
    BackboneSpec,
    InputMismatch,
    SequenceView,
    Stage,
    State,
    UsageError,
    WeightsMismatch,
    masked_mean,
)
from graftwork_word_vectors.vectors import digest, read
from graftwork_word_vectors.words import folded, known_places, known_words, unfolded, unknown_share

SMOOTHING = 1e-3
"""a in a / (a + p(w)), of which Arora et al. 2017 ("A simple but tough-to-beat baseline for sentence embeddings", ICLR)
find 1e-3 to 1e-4 best."""


class Embeddings(Stage):
    """Word ids `(B, T)` to vectors `(B, T, D)`; with `inverse_frequency` those of frequent words are made small.

    A word's weight is its smooth inverse frequency a / (a + p(w)) (Arora et al. 2017). p(w) is by Zipf's law (1949) one
    over its rank, which is its id, since vectors are stored in order of frequency; divided so that all p(w) sum to 1.
    """

    def __init__(self, vectors: Tensor, *, inverse_frequency: bool) -> None:
        super().__init__("embeddings")
        self.vectors = nn.Embedding.from_pretrained(vectors, freeze=False)
        self.inverse_frequency = inverse_frequency
        self.harmonic = float((1 / torch.arange(1, len(vectors) + 1, dtype=torch.float64)).sum())

    def forward(self, state: State) -> State:
        hidden = self.vectors(state.hidden)
        if self.inverse_frequency:
            p = 1 / ((state.hidden + 1) * self.harmonic)
            hidden = hidden * (SMOOTHING / (SMOOTHING + p))[..., None].to(hidden.dtype)
        return State(hidden, state.mask)


class WordVectors(Backbone):
    """pool: the mean over the known words, `(B, T, D)` to `(B, D)`; zeros for a text without any."""

    batch_size = 65_536  # characters
    measures = True

    def __init__(self, spec: BackboneSpec, vectors: Tensor, words: Sequence[str] | None = None) -> None:
        stage = Embeddings(vectors, inverse_frequency=spec.preparation["pooling"] == "idf")
        super().__init__(spec, [stage], [vectors.shape[1]])
        # Where a file has a word twice, the first, which it has for the more frequent, counts.
        self._ids = None if words is None else {word: i for i, word in reversed(list(enumerate(words)))}

    def prepare(self, values: list[str]) -> State:
        """Texts to word ids `(B, T)` int64 with their mask; unknown words are left out.

        Raises `InputMismatch` for what is not text in UTF-8.
        """
        rows = [self._read(value) for value in values]
        longest = max(1, *map(len, rows))  # a text without a known word is one of padding
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        mask = torch.arange(longest) < torch.tensor([len(row) for row in rows])[:, None]
        return State(ids, None if bool(mask.all()) else mask)

    def _read(self, value: str) -> list[int]:
        if self._ids is None:
            raise UsageError(
                f"'{self.spec.name}' was built without weights, so it knows no words.", "Load it with its weights."
            )
        try:
            value.encode()
        except (AttributeError, UnicodeEncodeError) as error:
            raise InputMismatch(
                f"Backbone '{self.spec.name}' wants texts in UTF-8; it was given what is none to prepare.",
                "Apply the steps of the agreement first.",
            ) from error
        return [self._ids[word] for word in known_words(self._folded(value), self._ids)]

    def sequence(self, values: list[str], batch: State, state: State) -> SequenceView:
        """A vector for each known word `(B, T, D)`; spans are characters of the text as it was given."""
        count, longest = state.hidden.shape[:2]
        spans = torch.zeros(count, longest, 2, dtype=torch.float64)
        mask = torch.zeros(count, longest, dtype=torch.bool)
        for row, value in enumerate(values):
            sources = unfolded(value, lower=self.spec.preparation["lower_case"])
            for place, (start, end) in enumerate(known_places(self._folded(value), self._ids or {})):
                spans[row, place] = torch.tensor([sources[start][0], sources[end - 1][1]])
                mask[row, place] = True
        return SequenceView(state.hidden.float(), mask, spans)

    def _folded(self, value: str) -> str:
        return folded(value, lower=self.spec.preparation["lower_case"])

    def measure(self, values: list[str]) -> list[int]:
        """Characters."""
        return [len(value) for value in values]

    def survey(self, values: list[str]) -> tuple[Sequence[int], Mapping[str, Sequence[float]]]:
        """Characters, and the share of the words that the vocabulary does not know."""
        known = self._ids or {}
        return self.measure(values), {"unknown_tokens": [unknown_share(self._folded(value), known) for value in values]}

    def pool(self, state: State) -> Tensor:
        return masked_mean(state)


def build(spec: BackboneSpec, weights: Path | None) -> WordVectors:
    """Load vectors and words from a file; without weights, random vectors and no words.

    Raises `WeightsMismatch` when the words are not those that the contract names; where it names none, those of the
    file are taken into it.
    """
    width = spec.feature_dim
    count = spec.parameters // width
    if weights is None:
        return WordVectors(spec, torch.randn(count, width))
    words, table = read(weights, count, width)
    return WordVectors(_bound(spec, words), torch.from_numpy(table), words)


def _bound(spec: BackboneSpec, words: Sequence[str]) -> BackboneSpec:
    """The spec with the words in its contract: vectors mean nothing with others."""
    found, stated = digest(words), spec.preparation.get("vocabulary")
    if stated not in (None, found):
        raise WeightsMismatch(
            f"The words of {spec.weights.describe()} (digest {found[:12]}…) are not those of '{spec.name}' "
            f"({stated[:12]}…).",
            f"{spec.weights.remedy()}.",
        )
    contract = dataclasses.replace(spec.contract, preparation={**spec.preparation, "vocabulary": found})
    return dataclasses.replace(spec, contract=contract)
