"""Figures of merit of answers that lie in the input, summed up one example at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from graftwork.specs.task import RawLabel


class Scorer(ABC):
    """Compares answers with labels, both in the coordinates of the example as it was given. What it keeps must not grow
    with the size of the examples; a few numbers for each are fine.
    """

    @abstractmethod
    def add(self, answer: dict[str, Any], label: RawLabel) -> float:
        """Take in an example. Returns how good its answer is, 0..1, by which reports show the worst ones first."""

    @abstractmethod
    def metrics(self) -> dict[str, float]:
        """The figures over all examples so far: those of the task's answers, and those of the answer that needs no
        input. Finite also where there was nothing to find."""
