"""Which examples are trained on, validated with and tested with: the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from graftwork.errors import DataError, UsageError


def split(strata: Sequence[str], brought: Sequence[str] | None, val: float, seed: int) -> list[str]:
    """For each example "train", "validation" or "test": as the data bring it, else a part of each stratum is held out.

    strata: for each example what it is held out alike with, as its task says ("cat").

    Raises `DataError` where there is nothing to train on.
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
    """For each example whether it is held out: `fraction` of every stratum, at least one where it has two or more.

    A stratum with a single example is never held out. Raises `UsageError` for a fraction outside 0..1 and `DataError`
    when no stratum has two examples.
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


def check_fraction(fraction: float) -> None:
    """Raises `UsageError` for one that holds out none or all."""
    if not 0 < fraction < 1:
        raise UsageError(
            f"--val {fraction:g} is not a part of the data; it is more than 0 and less than 1.", "Write: --val 0.2"
        )


def labelled(labels: Sequence[Any] | None) -> Sequence[Any]:
    """The labels. Raises `DataError` where there are none."""
    if labels is None:
        raise DataError(
            "The data have no labels, so there is nothing to learn.",
            "Put the examples in one folder per label, or name a column: --label COLUMN",
        )
    return labels


def parts(kept: Sequence[int], splits: Sequence[str]) -> dict[str, list[int]]:
    """The numbers of the examples that are kept of each split.

    Raises `DataError` where nothing is left to train on, or to check with.
    """
    found = {name: [i for i in kept if splits[i] == name] for name in ("train", "validation", "test")}
    if not found["train"] or not found["validation"]:
        raise DataError("No readable example is left to train on or to check with.", "Mend the data, or add examples.")
    return found
