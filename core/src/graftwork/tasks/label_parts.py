"""Parts of a report on answers that are names: which are taken for which, and how well each is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graftwork.specs.contracts import plural
from graftwork.tasks.parts import AnswerTable, HeatMap

MOST = 24
"""How many labels a heat map has; of more, those that are most often confused."""
NAMED = 5
"""How many confusions are named."""
LISTED = 100
"""How many labels a table has; of more, the worst."""


def confusion(names: Sequence[str], true: np.ndarray, said: np.ndarray) -> HeatMap:
    """How often each label is taken for each. true, said: numbers of labels `(N,)`."""
    size, wrong = len(names), true != said
    pairs, times = np.unique(true[wrong] * size + said[wrong], return_counts=True)
    of, order = np.bincount(true, minlength=size), np.argsort(-times, kind="stable")[:NAMED].tolist()
    found = [(*divmod(int(pairs[place]), size), int(times[place])) for place in order]
    says = f"All {len(true)} answers are right."
    if found:
        a, b, count = found[0]
        says = f"Most often '{names[a]}' is taken for '{names[b]}': {count} of {plural(int(of[a]), 'time')}."
    shown = np.arange(size)
    if size > MOST:
        confused = np.bincount(true[wrong], minlength=size) + np.bincount(said[wrong], minlength=size)
        shown = np.sort(np.argsort(-confused, kind="stable")[:MOST])
        says += f" Of {size} labels those {MOST} are shown that are confused most."
    place = np.full(size, -1)
    place[shown] = np.arange(len(shown))
    kept = (place[true] >= 0) & (place[said] >= 0)
    counts = np.zeros((len(shown), len(shown)), dtype=np.int64)
    np.add.at(counts, (place[true[kept]], place[said[kept]]), 1)
    short = [names[k] for k in shown.tolist()]
    named = [f"'{names[a]}' taken for '{names[b]}': {count} of {of[a]}" for a, b, count in found]
    return HeatMap("Confusion", says, short, short, counts.tolist(), named)


def label_table(
    names: Sequence[str],
    hits: np.ndarray,
    true: np.ndarray,
    said: np.ndarray,
    more: Mapping[str, Sequence[float]] | None = None,
) -> AnswerTable:
    """How well each label is found, the worst first. hits, true, said: for each label `(K,)` how often it is answered
    rightly, true, and answered. more: further columns of K figures by name."""
    precision, recall = hits / np.maximum(said, 1), hits / np.maximum(true, 1)
    f1 = 2 * hits / np.maximum(true + said, 1)
    seen = [k for k in np.argsort(f1, kind="stable").tolist() if true[k] or said[k]]
    figures = (precision, recall, f1, *(more or {}).values())
    rows: list[Sequence[str | float | int]] = [
        [str(names[k]), int(true[k]), *(round(float(values[k]), 4) for values in figures)] for k in seen[:LISTED]
    ]
    says = "Each is found without a mistake."
    if seen and f1[seen[0]] < 1:
        says = f"'{names[seen[0]]}' is found worst, with an F1 of {f1[seen[0]]:.3f}."
    if len(seen) > LISTED:
        says += f" Of {len(seen)} labels the worst {LISTED} are listed."
    return AnswerTable("Labels", says, ("label", "examples", "precision", "recall", "F1", *(more or {})), rows)
