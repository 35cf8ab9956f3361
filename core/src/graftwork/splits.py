"""Carving a validation part out of labelled data, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

from graftwork.errors import DataError, UsageError


def stratified(labels: Sequence[str], fraction: float, seed: int) -> list[bool]:
    """For each example whether it is held out: `fraction` of every label, at least one of a label that has two or more.

    A label with a single example is never held out. Raises `UsageError` for a fraction outside 0..1 and `DataError`
    when no label has two examples.
    """
    if not 0 < fraction < 1:
        raise UsageError(
            f"--val {fraction:g} is not a part of the data; it is more than 0 and less than 1.", "Write: --val 0.2"
        )
    places: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        places.setdefault(label, []).append(index)
    if all(len(indices) < 2 for indices in places.values()):
        raise DataError(
            "Every label has one example only, so none can be held out to check the model.",
            "Add examples: two of a label at the least.",
        )
    held = [False] * len(labels)
    for label in sorted(places):
        indices = places[label]
        if len(indices) > 1:
            count = min(max(1, round(fraction * len(indices))), len(indices) - 1)
            for index in random.Random(f"{seed} {label}").sample(indices, count):
                held[index] = True
    return held
