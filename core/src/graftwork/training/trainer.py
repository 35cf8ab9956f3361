"""Training a head on a backbone: one interface, and two engines chosen from the plan.

The exact engine serves where nothing below the head trains and the head is convex: it solves the head from stored
features, without epochs. The loop trains everything else by gradient steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graftwork.features.dataset import Part
from graftwork.features.examples import Examples
from graftwork.features.extraction import Cache, Features
from graftwork.freeze.policies import FreezePolicy, Plan
from graftwork.models.backbone import Backbone
from graftwork.specs.factories import load_factory
from graftwork.specs.task import HeadSpec
from graftwork.tasks.heads import Head
from graftwork.tasks.metrics import classification
from graftwork.training import solver
from graftwork.training.sampling import example_weights


@dataclass(frozen=True)
class Job:
    """What there is to train.

    tap: the stage whose pooled features the head reads. targets: the class number of each example that can be used,
    by its number. parts: the numbers of those to train on, to validate and to test with. classes: how many labels.
    examples: to read them; None for a stream, which is over.
    features: of all usable examples, from the backbone as it was loaded, where the engine asked for them.
    versions: for an example to train on, the rows of `features` that are of changed versions of it.
    cache: where what frozen stages make of the examples is kept.
    """

    backbone: Backbone
    tap: int
    head: HeadSpec
    policy: FreezePolicy
    examples: Examples | None
    targets: Mapping[int, int]
    parts: Mapping[str, Sequence[int]]
    classes: int
    features: Features | None
    seed: int
    versions: Mapping[int, Sequence[int]] = field(default_factory=dict)
    cache: Cache | None = None

    def part(self, name: str) -> Part:
        """The features and targets of a part. An example with changed versions weighs as much as one without."""
        assert self.features is not None
        place = {number: row for row, number in enumerate(self.features.kept)}
        numbers, rows, weights = [], [], []
        for number in self.parts[name]:
            versions = (place[number], *(self.versions.get(number, ()) if name == "train" else ()))
            numbers += [number] * len(versions)
            rows += versions
            weights += [1 / len(versions)] * len(versions)
        targets = torch.tensor([self.targets[number] for number in numbers], dtype=torch.long)
        weighted = torch.tensor(weights) if len(numbers) > len(self.parts[name]) else None
        return Part(self.features.values, targets, torch.tensor(rows, dtype=torch.long), weighted)


@dataclass(frozen=True)
class Trained:
    """A trained head, what of each stage moved on the way, and what the engine chose and saw.

    judged: the head that the validation part judges, where the other one was trained on it too.
    moving: for each stage the names of the tensors that training may have changed.
    adapted: the rank of the low-rank updates of each stage that has some. notes: what a user should know, a sentence
    each.
    """

    head: Head
    details: dict[str, Any] = field(default_factory=dict)
    judged: Head | None = None
    moving: Mapping[str, set[str]] = field(default_factory=dict)
    adapted: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Engine(ABC):
    """Trains a head, and whatever the policy lets train below it.

    wants_features: whether it starts from features of the backbone as it was loaded.
    """

    name: str
    wants_features: bool

    @abstractmethod
    def train(self, job: Job) -> Trained: ...


class ExactEngine(Engine):
    """Solves a convex head (see `graftwork.training.solver`).

    Its l2 is chosen by held-out loss, or given as scikit-learn's `c`. refit: solve again on all but the test
    part with the l2 that was chosen. balance: "weights" makes every class weigh the same.
    """

    name = "exact"
    wants_features = True

    def __init__(self, *, refit: bool = True, c: float | None = None, balance: str = "none") -> None:
        self._refit = refit
        self._c = c
        self._balance = balance

    def train(self, job: Job) -> Trained:
        train, held = self._weighted(job.part("train")), self._weighted(job.part("validation"))
        if self._c is not None:
            chosen = solver.solve(train, job.classes, 1 / (train.total * self._c))
        else:
            chosen = solver.choose(train, held, job.classes)
        if not self._refit or not len(held):
            if self._c is None:
                chosen = solver.solve(train, job.classes, chosen.l2, near=chosen)
            return Trained(solved(job.head, chosen), _details(chosen))
        both = self._weighted(train + held)
        l2 = chosen.l2 if self._c is None else 1 / (both.total * self._c)
        final = solver.solve(both, job.classes, l2, near=chosen)
        return Trained(solved(job.head, final), _details(final), solved(job.head, chosen))

    def _weighted(self, part: Part) -> Part:
        if self._balance == "none" or not len(part):
            return part
        weights = torch.tensor(example_weights(part.targets.tolist(), self._balance))
        return replace(part, weights=weights if part.weights is None else weights * part.weights)


def _details(solution: solver.Solution) -> dict[str, Any]:
    return {"l2": solution.l2, "converged": solution.converged}


def solved(spec: HeadSpec, solution: solver.Solution, met: Tensor | None = None) -> Head:
    """A head that is the solution; with `met` (features) it has taken their place and size into account before."""
    outputs, features = solution.weight.shape
    head: Head = load_factory(spec.factory)(features, outputs)
    if met is not None:
        head.fit_scaler(met)
    head.load_solution(solution.weight, solution.bias)
    return head.eval()


def exact(plans: Sequence[Plan], head: HeadSpec) -> bool:
    """Whether the exact engine can carry out the plans of every epoch."""
    return head.convex and all(plan.all_frozen for plan in plans)


def judge(head: Head, part: Part) -> dict[str, Any]:
    """How good a head is on a part."""
    with torch.inference_mode():
        probabilities = np.concatenate([head.decode(head(features)).numpy() for _, features in part.chunks()])
    return classification(probabilities, part.targets.numpy())
