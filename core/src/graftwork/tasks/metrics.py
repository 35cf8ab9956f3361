"""The figures that a classification is judged by, from probabilities."""

from __future__ import annotations

import numpy as np


def classification(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """accuracy, macro_f1 (over the classes present or predicted), log_loss (nats) and the accuracy of always guessing
    the most frequent class. probabilities `(N, K)`, targets `(N,)` class numbers."""
    n, classes = probabilities.shape
    predicted = probabilities.argmax(1)
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (targets, predicted), 1)
    hits = confusion.diagonal()
    sizes = confusion.sum(0) + confusion.sum(1)
    f1 = 2 * hits[sizes > 0] / sizes[sizes > 0]
    likelihood = np.clip(probabilities[np.arange(n), targets], np.finfo(np.float64).tiny, 1)
    return {
        "accuracy": float(hits.sum() / n),
        "macro_f1": float(f1.mean()),
        "log_loss": float(-np.log(likelihood).mean()),
        "majority": float(confusion.sum(1).max() / n),
    }
