"""Training a head on a backbone: one interface, and the engine chosen from the plan.

The exact engine serves where nothing below the head trains and the head is convex: it solves the head from stored
features, without epochs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from graftwork import solver
from graftwork.errors import UsageError
from graftwork.freeze import Plan
from graftwork.heads import Head
from graftwork.specs import HeadSpec, load_factory


@dataclass(frozen=True)
class Part:
    """Examples to train or judge on: pooled features `(N, D)` float32 and class numbers `(N,)`."""

    features: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def __add__(self, other: Part) -> Part:
        return Part(torch.cat([self.features, other.features]), torch.cat([self.targets, other.targets]))


@dataclass(frozen=True)
class Trained:
    """A trained head, and what the engine chose and saw on the way."""

    head: Head
    details: dict[str, Any] = field(default_factory=dict)


class Engine(ABC):
    """Trains a head (and whatever the plan lets train below it)."""

    name: str

    @abstractmethod
    def train(self, train: Part, held: Part, classes: int) -> Trained:
        """Train on `train`, choosing by `held`."""

    @abstractmethod
    def refit(self, trained: Trained, everything: Part, classes: int) -> Trained:
        """Train again on all the data with what was chosen."""


class ExactEngine(Engine):
    """Solves a convex head (see `graftwork.solver`); its strength is chosen by held-out loss."""

    name = "exact"

    def __init__(self, spec: HeadSpec) -> None:
        self._build = load_factory(spec.factory)

    def train(self, train: Part, held: Part, classes: int) -> Trained:
        return self._head(solver.choose(train.features, train.targets, held.features, held.targets, classes))

    def refit(self, trained: Trained, everything: Part, classes: int) -> Trained:
        strength = trained.details["strength"]
        return self._head(solver.solve(everything.features, everything.targets, classes, strength))

    def _head(self, solution: solver.Solution) -> Trained:
        head = self._build(solution.weight.shape[1], solution.weight.shape[0])
        with torch.no_grad():
            head.linear.weight.copy_(solution.weight)
            head.linear.bias.copy_(solution.bias)
        return Trained(head.eval(), {"strength": solution.strength, "converged": solution.converged})


def engine_for(plan: Plan, head: HeadSpec, freeze: str) -> Engine:
    """The engine that a plan asks for. Raises `UsageError` for a plan that no engine carries out."""
    if plan.all_frozen and head.convex:
        return ExactEngine(head)
    training = ", ".join(stage.stage for stage in plan.stages if stage.trains) or f"the head '{head.name}'"
    raise UsageError(
        f"The freeze policy '{freeze}' trains {training} by gradient steps; this version solves convex heads "
        "on frozen stages.",
        "Write: --freeze head",
    )
