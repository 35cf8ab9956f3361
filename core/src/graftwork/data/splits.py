"""Which examples are trained on, validated with and tested with, the same for the same seed; and the classes."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence

from graftwork.errors import DataError, UsageError


def split(labels: Sequence[str], brought: Sequence[str] | None, val: float, seed: int) -> list[str]:
    """For each example "train", "validation" or "test": as the data bring it, else held out stratified by label.

    Raises `DataError` where there is nothing to train on.
    """
    splits = list(brought or ["train"] * len(labels))
    if "train" not in splits:
        raise DataError(
            f"The data bring the splits {', '.join(sorted(set(splits)))}, and none to train on.",
            "Name one of them train.",
        )
    if "validation" not in splits:
        training = [i for i, word in enumerate(splits) if word == "train"]
        held = stratified([labels[i] for i in training], val, seed)
        for index, out in zip(training, held, strict=True):
            if out:
                splits[index] = "validation"
    return splits


def stratified(labels: Sequence[str], fraction: float, seed: int) -> list[bool]:
    """For each example whether it is held out: `fraction` of every label, at least one of a label that has two or more.

    A label with a single example is never held out. Raises `UsageError` for a fraction outside 0..1 and `DataError`
    when no label has two examples.
    """
    check_fraction(fraction)
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


def check_fraction(fraction: float) -> None:
    """Raises `UsageError` for one that holds out none or all."""
    if not 0 < fraction < 1:
        raise UsageError(
            f"--val {fraction:g} is not a part of the data; it is more than 0 and less than 1.", "Write: --val 0.2"
        )


def labelled(labels: Sequence[str] | None) -> Sequence[str]:
    """The labels. Raises `DataError` where there are none."""
    if labels is None:
        raise DataError(
            "The data have no labels, so there is nothing to learn.",
            "Put the examples in one folder per label, or name a column: --label COLUMN",
        )
    return labels


def check_labels(labels: Sequence[str]) -> list[str]:
    """Warnings about labels. Raises `DataError` where they are all the same."""
    counts = Counter(labels)
    if len(counts) == 1:
        raise DataError(
            f"All {len(labels)} examples have the label '{next(iter(counts))}'; two labels or more are accepted.",
            "Add examples of another label.",
        )
    single = sorted(label for label, count in counts.items() if count == 1)
    if not single:
        return []
    words = ", ".join(f"'{label}'" for label in single[:5]) + (" and others" if len(single) > 5 else "")
    return [f"Seen once only, so trained on but never checked: the label{'s' * (len(single) > 1)} {words}."]


def part(
    labels: Sequence[str], kept: Sequence[int], splits: Sequence[str]
) -> tuple[list[str], dict[int, int], dict[str, list[int]]]:
    """The classes, the class number of each example that is kept, and the numbers of those of each split.

    Raises `DataError` for a label that only the test split has, and where nothing is left of another split.
    """
    classes = sort_labels({labels[i] for i in kept if splits[i] != "test"})
    number = {label: k for k, label in enumerate(classes)}
    unseen = sorted({labels[i] for i in kept} - set(classes))
    if unseen:
        raise DataError(
            f"The test split has the label '{unseen[0]}', which no training example has.",
            "Add training examples, or drop it.",
        )
    parts = {name: [i for i in kept if splits[i] == name] for name in ("train", "validation", "test")}
    if not parts["train"] or not parts["validation"]:
        raise DataError("No readable example is left to train on or to check with.", "Mend the data, or add examples.")
    return classes, {i: number[labels[i]] for i in kept}, parts


def sort_labels(labels: Iterable[str]) -> list[str]:
    """By value where all are finite numbers, else by letters; like values by letters too, so that the order is one."""
    try:
        values = {label: float(label) for label in labels}
    except ValueError:
        return sorted(labels)
    if not all(math.isfinite(value) for value in values.values()):
        return sorted(labels)
    return sorted(labels, key=lambda label: (values[label], label))
