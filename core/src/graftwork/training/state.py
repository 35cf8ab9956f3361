"""Where a training by steps stands: what a checkpoint holds of it besides tensors, and what a watcher is told."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

EXPLODED = 5.0
"""A running loss of more than this many times the first one, or that of guessing, has exploded."""

SMOOTH = 0.9
"""What of the running loss stays with each step."""


@dataclass(frozen=True)
class Progress:
    """Where a fit by steps stands. accuracy: of the last validation, None before it. done: whether an epoch ended."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    lr: float
    examples_per_s: float
    seconds_left: float
    accuracy: float | None
    done: bool = False


@dataclass
class Standing:
    """What a fit by steps knows of itself besides tensors.

    step: how many were taken. first: the first loss. running: the smoothed one. seen: examples of this epoch, and the
    sum of their losses. waited: epochs since the best one. history: a row for each validation.
    """

    step: int = 0
    first: float = 0.0
    running: float = 0.0
    seen: int = 0
    loss: float = 0.0
    waited: int = 0
    best: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def note(self, loss: float, classes: int) -> bool:
        """Take in the loss of a step. Returns whether training is still sound: the loss is finite, and has not
        exploded."""
        if self.step == 0:
            self.first = self.running = loss
        self.running = SMOOTH * self.running + (1 - SMOOTH) * loss
        most = EXPLODED * max(self.first, math.log(max(2, classes)))
        return math.isfinite(loss) and self.running <= most

    def judge(self, row: dict[str, float]) -> bool:
        """Take in a validation. Returns whether it is better than all before: by accuracy, and by log loss where that
        is even."""
        if self.seen:
            row["loss"] = self.loss / self.seen
        self.history.append(row)
        self.seen, self.loss = 0, 0.0
        self.waited += 1
        if self.best and (row["accuracy"], -row["log_loss"]) <= (self.best["accuracy"], -self.best["log_loss"]):
            return False
        self.best, self.waited = dict(row), 0
        return True
