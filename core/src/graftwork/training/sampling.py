"""Which examples a step sees, and how much each counts: all of it from the seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from graftwork.runtime import processes

WINDOW = 32
"""Batches that are filled together, so that each holds examples of like length and is hardly padded."""


class Part(NamedTuple):
    """What of a step one process computes at once: numbers of examples, and the weight of each one's loss."""

    numbers: list[int]
    weights: list[float]


def example_weights(targets: Sequence[int], balance: str) -> list[float]:
    """The weight of each example's loss: 1, or with "weights" such that every class weighs the same, 1 in the mean."""
    if balance != "weights":
        return [1.0] * len(targets)
    counts = Counter(targets)
    return [len(targets) / (len(counts) * counts[target]) for target in targets]


def order(
    numbers: Sequence[int],
    targets: Mapping[int, int],
    sizes: Mapping[int, float],
    batch_size: int,
    balance: str,
    seed: str,
) -> list[list[int]]:
    """The batches of an epoch: shuffled, examples of like size together.

    With balance "sampling" each class is drawn equally often, examples of rare ones more than once.
    """
    rng = random.Random(f"order {seed}")
    if balance == "sampling":
        counts = Counter(targets[number] for number in numbers)
        drawn = rng.choices(numbers, [1 / counts[targets[number]] for number in numbers], k=len(numbers))
    else:
        drawn = rng.sample(numbers, len(numbers))
    batches = []
    for start in range(0, len(drawn), WINDOW * batch_size):
        together = sorted(drawn[start : start + WINDOW * batch_size], key=lambda number: sizes[number])
        batches += [together[i : i + batch_size] for i in range(0, len(together), batch_size)]
    rng.shuffle(batches)
    return batches


def divide(numbers: Sequence[int], weights: Mapping[int, float], accumulate: int) -> list[Part]:
    """This process's parts of a step. Over all of them and all processes, the weights sum to 1.

    Every process has as many parts, since they wait for each other; one without examples computes another's in vain.
    """
    total = sum(weights[number] for number in numbers)
    parts = []
    for start in range(min(accumulate, len(numbers))):
        group = numbers[start::accumulate]
        mine = processes.mine(group)
        if mine:
            parts.append(Part(mine, [weights[number] / total for number in mine]))
        else:
            parts.append(Part([group[0]], [0.0]))
    return parts
