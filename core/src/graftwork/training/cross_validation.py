"""How good solved heads on features of different stages are, by cross-validation, and which differences are real."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graftwork.models.machine import one_thread
from graftwork.tasks.losses import Loss
from graftwork.tasks.task import Targets, Task
from graftwork.training.fold_solver import out_of_fold

DRAWS = 100
"""Bootstrap samples of a score."""

SURELY = 2.0
"""Standard errors by which one of some twenty is better than the last, and not by chance. With 1, a first stage was
chosen for digits spoken by some, and cost 2.4 points on digits spoken by others."""

MASS = 0.9
"""Of the intervals around scores."""


@dataclass(frozen=True, eq=False)
class Scores:
    """What heads make of examples that they were not solved on.

    value: the task's primary metric. draws: the same on bootstrap samples `(DRAWS,)`, which are those of every other
    score of as many examples, so that two can be compared in pairs; losses: of each example `(N,)`. sign: 1 where more
    is better, -1 where less is.
    """

    value: float
    draws: np.ndarray
    losses: np.ndarray
    sign: int

    @property
    def interval(self) -> tuple[float, float]:
        """Where `MASS` of the bootstrap samples lie, in the middle."""
        low, high = np.quantile(self.draws, [(1 - MASS) / 2, (1 + MASS) / 2])
        return float(low), float(high)

    def above(self, other: Scores) -> tuple[float, float]:
        """How much better than another its value is, and the standard error of that."""
        return self.sign * (self.value - other.value), float((self.draws - other.draws).std())

    def surely_above(self, other: Scores) -> bool:
        """Whether its loss is lower by more than `SURELY` standard errors, and its value no worse.

        A loss tells more than a metric that counts, on few examples; and what has a lower loss and answers worse is of
        no use.
        """
        return self.lower(other, SURELY) and self.above(other)[0] >= 0

    def lower(self, other: Scores, errors: float) -> bool:
        """Whether its loss is lower by more than so many standard errors of the difference in pairs."""
        less = other.losses - self.losses
        return bool(less.mean() > errors * less.std() / math.sqrt(len(less)))


def pooled(parts: Sequence[Scores]) -> Scores:
    """The scores of several parts of the examples as one: means by their numbers of examples."""
    weights = [len(part.losses) for part in parts]
    value = float(np.average([part.value for part in parts], weights=weights))
    draws = np.average([part.draws for part in parts], axis=0, weights=weights)
    return Scores(value, draws, np.concatenate([part.losses for part in parts]), parts[0].sign)


def cross_validated(
    task: Task, known: Targets, loss: Loss, sets: Sequence[Tensor], targets: Tensor, fold: Sequence[int], seed: int = 0
) -> list[Scores]:
    """The scores of heads on each of several sets of features `(N, D)`, of each example by the head that its fold had
    no part in. fold: see `graftwork.data.splits.folds`; an example of fold -1 is not judged."""
    judged = (torch.tensor(fold) >= 0).nonzero()[:, 0]
    wanted = targets.index_select(0, judged)
    return [
        scores(task, known, found.outputs[judged], wanted, seed)
        for found in out_of_fold(sets, targets, fold, task.outputs(known), loss)
    ]


def scores(task: Task, known: Targets, outputs: Tensor, targets: Tensor, seed: int = 0) -> Scores:
    """Of outputs `(N, K)` for rows of targets."""

    def value(rows: Tensor) -> float:
        return task.metrics(outputs[rows], targets.index_select(0, rows), known)[task.primary.name]

    count = len(outputs)
    generator = torch.Generator().manual_seed(seed)
    with one_thread():  # what is drawn is small
        draws = [value(torch.randint(count, (count,), generator=generator)) for _ in range(DRAWS)]
    rows = targets if targets.layout == torch.strided else targets.to_dense()
    losses = task.loss(outputs, rows).double().numpy()
    return Scores(value(torch.arange(count)), np.array(draws), losses, 1 if task.primary.higher_is_better else -1)
