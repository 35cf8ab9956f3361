"""What GloVe does not know of texts, told by its list of words alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from graftwork import BackboneSpec
from graftwork_word_vectors.vectors import packaged_words
from graftwork_word_vectors.words import folded, unknown_share


def build(spec: BackboneSpec, weights: Path) -> Callable[[list[str]], Mapping[str, Sequence[float]]]:
    """Make `survey(texts)`: the share of the words of each that are not in the list."""
    words, lower = frozenset(packaged_words(weights)), spec.preparation["lower_case"]

    def survey(values: list[str]) -> Mapping[str, Sequence[float]]:
        return {"unknown_tokens": [unknown_share(folded(value, lower=lower), words) for value in values]}

    return survey
