"""Where a training by steps stands: what a checkpoint holds of it besides tensors, and what a watcher is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

EXPLODED = 5.0
"""A running loss of more than this many times the first one, or that of guessing, has exploded."""

SMOOTH = 0.9
"""The share of the running loss that stays with each step."""

Row = dict[str, float]
"""The figures of one validation by name, with its epoch, and the loss in training since the one before."""


@dataclass(frozen=True)
class Progress:
    """Where a training by steps stands.

    metric, value: a figure of the last validation; None before it. done: whether an epoch ended.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    lr: float
    examples_per_s: float
    seconds_left: float
    metric: str
    value: float | None
    done: bool = False


@dataclass
class TrainState:
    """Numbers that a checkpoint keeps.

    step: how many were taken. first: the first loss. running: the smoothed one. seen: examples of this epoch, and the
    sum of their losses. waited: epochs since the best one. best: its row. history: a row for each validation.
    """

    step: int = 0
    first: float = 0.0
    running: float = 0.0
    seen: int = 0
    loss: float = 0.0
    waited: int = 0
    best: Row = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)

    def record_loss(self, loss: float, guessing: float, step: int) -> bool:
        """Take in the loss of a step, the first of which is 1. Returns whether it is finite and has not exploded.

        guessing: the loss of a model that knows nothing; a first loss below it may rise to it. Infinite: no limit.
        """
        if step == 1:
            self.first = self.running = loss
        self.running = SMOOTH * self.running + (1 - SMOOTH) * loss
        return math.isfinite(loss) and self.running <= EXPLODED * max(self.first, guessing)

    def record_validation(self, row: Row, key: Callable[[Row], Any] | None, begun: bool = True) -> bool:
        """Take in a validation. Returns whether its key is greater than that of all before; False without a key.

        begun: whether it found anything at all; until one does, no patience is lost.
        """
        if self.seen:
            row["loss"] = self.loss / self.seen
        self.history.append(row)
        self.seen, self.loss = 0, 0.0
        if key is None:
            return False
        self.waited += begun
        if self.best and key(row) <= key(self.best):
            return False
        self.best, self.waited = dict(row), 0
        return True

    def out_of_patience(self, patience: int) -> bool:
        """Whether so many epochs passed without a better one; never for 0."""
        return 0 < patience <= self.waited
