"""The split of each example, train, validation or test: always the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from graftwork.errors import DataError, UsageError


def split(strata: Sequence[str], brought: Sequence[str] | None, val: float, seed: int) -> list[str]:
    """The split of each example, "train", "validation" or "test", as in the data; without a validation split, a
    fraction of each stratum is held out from train.

    strata: the stratum of each example, as its task names it ("cat"). brought: the splits of the data, or None. val:
    the fraction, 0..1.

    Raises `DataError` if there is nothing to train on.
    """
    splits = list(brought or ["train"] * len(strata))
    if "train" not in splits:
        raise DataError(
            f"The data bring the splits {', '.join(sorted(set(splits)))}, and none to train on.",
            "Name one of them train.",
        )
    if "validation" not in splits:
        training = [i for i, word in enumerate(splits) if word == "train"]
        held = stratified([strata[i] for i in training], val, seed)
        for index, out in zip(training, held, strict=True):
            if out:
                splits[index] = "validation"
    return splits


def stratified(strata: Sequence[str], fraction: float, seed: int) -> list[bool]:
    """Whether each example is held out: `fraction` of every stratum, at least one if it has two or more.

    A stratum with a single example is never held out. Raises `UsageError` for a fraction outside 0..1 and `DataError`
    if no stratum has two examples.
    """
    check_fraction(fraction)
    places: dict[str, list[int]] = {}
    for index, stratum in enumerate(strata):
        places.setdefault(stratum, []).append(index)
    if all(len(indices) < 2 for indices in places.values()):
        raise DataError(
            "Every label has one example only, so none can be held out to check the model.",
            "Add examples: two of a label at the least.",
        )
    held = [False] * len(strata)
    for stratum in sorted(places):
        indices = places[stratum]
        if len(indices) > 1:
            count = min(max(1, round(fraction * len(indices))), len(indices) - 1)
            for index in random.Random(f"{seed} {stratum}").sample(indices, count):
                held[index] = True
    return held


def folds(strata: Sequence[str], count: int, seed: int) -> list[int]:
    """The fold of each example, 0 to `count` - 1, with as many of each stratum in each as can be; -1 for the only
    example of a stratum, which is always trained on.

    Raises `DataError` if no stratum has two examples.
    """
    places: dict[str, list[int]] = {}
    for index, stratum in enumerate(strata):
        places.setdefault(stratum, []).append(index)
    found, begin = [-1] * len(strata), 0
    for stratum in sorted(places):
        indices = places[stratum]
        if len(indices) > 1:
            random.Random(f"folds {seed} {stratum}").shuffle(indices)
            for place, index in enumerate(indices, begin):
                found[index] = place % count
            begin += len(indices)
    if max(found, default=-1) < 0:
        raise DataError(
            "Every label has one example only, so nothing can be held out to compare by.",
            "Add examples: two of a label at the least.",
        )
    return found


def sample(strata: Sequence[str], most: int, seed: int) -> list[int]:
    """The places of at most so many examples, in order: of each stratum its share, but two where it has two."""
    if len(strata) <= most:
        return list(range(len(strata)))
    places: dict[str, list[int]] = {}
    for index, stratum in enumerate(strata):
        places.setdefault(stratum, []).append(index)
    chosen = []
    for stratum, indices in places.items():
        count = min(len(indices), max(2, round(most * len(indices) / len(strata))))
        chosen += random.Random(f"sample {seed} {stratum}").sample(indices, count)
    return sorted(chosen)


def check_fraction(fraction: float) -> None:
    """Raises `UsageError` for a fraction that holds out no example or all."""
    if not 0 < fraction < 1:
        raise UsageError(
            f"--val {fraction:g} is not a part of the data; it is more than 0 and less than 1.", "Write: --val 0.2"
        )


def labelled(labels: Sequence[Any] | None) -> Sequence[Any]:
    """The labels. Raises `DataError` if there are none."""
    if labels is None:
        raise DataError(
            "The data have no labels, so there is nothing to learn.",
            "Put the examples in one folder per label, or name a column: --label COLUMN",
        )
    return labels


def parts(kept: Sequence[int], splits: Sequence[str]) -> dict[str, list[int]]:
    """The numbers of the usable examples (`kept`) of each split.

    Raises `DataError` if no example is left in train or in validation.
    """
    found = {name: [i for i in kept if splits[i] == name] for name in ("train", "validation", "test")}
    if not found["train"] or not found["validation"]:
        raise DataError("No readable example is left to train on or to check with.", "Mend the data, or add examples.")
    return found
