"""What a text says without any encoder: the words in it."""

from __future__ import annotations

import numpy as np


def bag_of_words(values: list[str]) -> np.ndarray:
    """TF-IDF of words and word pairs, `(N, F)` float32, at most 4 096 terms (scikit-learn)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(ngram_range=(1, 2), max_features=4096, sublinear_tf=True).fit_transform(values)
    return np.asarray(vectors.todense(), dtype=np.float32)
