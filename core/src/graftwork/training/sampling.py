"""Which examples a step sees, and how much each counts: all of it from the seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from graftwork.runtime import processes

WINDOW = 32
"""Batches that are filled together, so that each holds examples of like length and is hardly padded."""


class MicroBatch(NamedTuple):
    """What of a step one process computes at once: numbers of examples, and the weight of each one's loss."""

    numbers: list[int]
    weights: list[float]


def example_weights(labels: Sequence[Hashable], balance: str) -> list[float]:
    """The weight of each example's loss: 1, or with "weights" such that every label weighs the same, 1 in the mean."""
    if balance != "weights":
        return [1.0] * len(labels)
    counts = Counter(labels)
    return [len(labels) / (len(counts) * counts[label]) for label in labels]


def order(
    numbers: Sequence[int],
    labels: Mapping[int, Hashable],
    sizes: Mapping[int, float],
    batch_size: int,
    balance: str,
    seed: str,
) -> list[list[int]]:
    """The batches of an epoch: shuffled, examples of like size together.

    With balance "sampling" each label is drawn equally often, examples of rare ones more than once.
    """
    rng = random.Random(f"order {seed}")
    if balance == "sampling":
        counts = Counter(labels[number] for number in numbers)
        drawn = rng.choices(numbers, [1 / counts[labels[number]] for number in numbers], k=len(numbers))
    else:
        drawn = rng.sample(numbers, len(numbers))
    batches = []
    for start in range(0, len(drawn), WINDOW * batch_size):
        together = sorted(drawn[start : start + WINDOW * batch_size], key=lambda number: sizes[number])
        batches += [together[i : i + batch_size] for i in range(0, len(together), batch_size)]
    rng.shuffle(batches)
    return batches


def divide(numbers: Sequence[int], weights: Mapping[int, float], accumulate: int) -> list[MicroBatch]:
    """This process's micro-batches of a step. Over all of them and all processes, the weights sum to 1.

    Every process gets the same number of micro-batches (collectives would hang otherwise); an idle rank recomputes one
    with weight 0.
    """
    total = sum(weights[number] for number in numbers)
    parts = []
    for start in range(min(accumulate, len(numbers))):
        group = numbers[start::accumulate]
        mine = processes.mine(group)
        if mine:
            parts.append(MicroBatch(mine, [weights[number] / total for number in mine]))
        else:
            parts.append(MicroBatch([group[0]], [0.0]))
    return parts


def label_keys(targets: Tensor) -> list[Hashable]:
    """One key for each row of targets `(N,)` or `(N, K)`, the same for the same label."""
    return [tuple(row) if isinstance(row, list) else row for row in targets.tolist()]
