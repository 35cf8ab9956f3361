"""Training a head on a backbone: one interface, and two engines chosen from the plan.

The exact engine serves where nothing below the head trains, the head is convex and its task says which loss to solve:
it solves the head from stored features, without epochs. The loop trains everything else by gradient steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from graftwork.errors import PluginFault
from graftwork.features.dataset import FeatureDataset
from graftwork.features.examples import Examples
from graftwork.features.extraction import Cache
from graftwork.features.results import remembered
from graftwork.freeze.policies import FreezePolicy, Plan
from graftwork.models.backbone import Backbone
from graftwork.plugins import registry
from graftwork.specs.task import HeadSpec, RawLabel
from graftwork.tasks.dense import DenseTask
from graftwork.tasks.heads import Head
from graftwork.tasks.losses import STATELESS, Loss
from graftwork.tasks.task import Answer, Targets, Task
from graftwork.training import solver
from graftwork.training.coordinates import coordinates
from graftwork.training.sampling import example_weights, label_keys

COMPARED = 64
"""How many examples a task's loss and the one that is solved for it are compared on."""


@dataclass(frozen=True)
class Job:
    """What there is to train.

    taps: the stages whose views the head reads, of several their pooled features joined; head: its name. task, known:
    what its outputs mean; labels, width: for a `DenseTask` the label of each number, and how wide the view is. data:
    the examples that can be used, with their features from the backbone as it was loaded where the engine asked for
    them. examples: to read them; None for a stream, which is over. cache: where what frozen stages make of the examples
    is kept.
    """

    backbone: Backbone
    taps: tuple[int, ...]
    task: Task
    known: Targets
    policy: FreezePolicy
    data: FeatureDataset
    examples: Examples | None
    seed: int
    cache: Cache | None = None
    head: str = ""
    labels: Mapping[int, RawLabel] = field(default_factory=dict)
    width: int | dict[int, int] | None = None

    @property
    def tap(self) -> int:
        """The last of them."""
        return self.taps[-1]

    def new_head(self) -> Head:
        if isinstance(self.task, DenseTask):
            assert self.width is not None, "the width of a view"
            return self.task.new_head(self.head, self.width, self.known)
        return self.task.head(self.backbone.feature_dim(*self.taps), self.known, self.head)


@dataclass(frozen=True)
class Trained:
    """A trained head, what of each stage moved on the way, and what the engine chose and saw.

    validated: the head that the validation split judges, where the other one was trained on it too.
    moving: for each stage the names of the tensors that training may have changed.
    adapted: the rank of the low-rank updates of each stage that has some. notes: what a user should know, a sentence
    each. metrics: of the splits that were not trained on, where the engine judges them itself; worst: the numbers of
    the validation examples with the worst answers, each with its answer; known: with what the task chose by then.
    """

    head: Head
    details: dict[str, Any] = field(default_factory=dict)
    validated: Head | None = None
    moving: Mapping[str, set[str]] = field(default_factory=dict)
    adapted: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    worst: tuple[tuple[int, Answer], ...] = ()
    known: Targets | None = None


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

    Its l2 penalty is chosen by validation loss, or given as scikit-learn's `c`. refit: solve again on all but the test
    split with the penalty that was chosen. balance: "weights" makes every label weigh the same.
    """

    name = "exact"
    wants_features = True

    def __init__(self, *, refit: bool = True, c: float | None = None, balance: str = "none") -> None:
        self._refit = refit
        self._c = c
        self._balance = balance

    def train(self, job: Job) -> Trained:
        named = {name: job.data.split(name) for name in ("train", "validation")}
        widths = [job.backbone.feature_dim(tap) for tap in job.taps]
        found = coordinates(named["train"] + named["validation"], widths)
        values = found.of(job.data.all_values)
        train, validation = (self._weighted(replace(data, values=values)) for data in named.values())
        loss, outputs = convex_loss(job.task, job.known, train), job.task.outputs(job.known)
        if self._c is not None:
            chosen = _solved(job, train, outputs, 1 / (train.total * self._c), loss)
        else:
            chosen = _chosen(job, train, validation, outputs, loss)
        if not self._refit or not len(validation):
            if self._c is None:
                chosen = _solved(job, train, outputs, chosen.l2, loss, near=chosen)
            return Trained(solved(job, found.back(chosen)), _details(chosen))
        both = self._weighted(train + validation)
        l2 = chosen.l2 if self._c is None else 1 / (both.total * self._c)
        final = _solved(job, both, outputs, l2, loss, near=chosen)
        return Trained(solved(job, found.back(final)), _details(final), solved(job, found.back(chosen)))

    def _weighted(self, data: FeatureDataset) -> FeatureDataset:
        if self._balance == "none" or not len(data):
            return data
        weights = torch.tensor(example_weights(label_keys(data.targets), self._balance))
        return replace(data, weights=weights if data.weights is None else weights * data.weights)


def _chosen(job: Job, train: FeatureDataset, validation: FeatureDataset, outputs: int, loss: Loss) -> solver.Solution:
    """`solver.choose`, or what it gave for the same features and targets before."""
    return _remembered(
        job, "chosen strength", (train, validation), loss, [str(outputs)],
        lambda: solver.choose(train, validation, outputs, loss),
    )  # fmt: skip


def _solved(
    job: Job, data: FeatureDataset, outputs: int, l2: float, loss: Loss, near: solver.Solution | None = None
) -> solver.Solution:
    """`solver.solve`, or what it gave for the same features, targets and start before."""
    start = [None, None] if near is None else [near.weight, near.bias]
    return _remembered(
        job, "solution", (data,), loss, [str(outputs), repr(l2), *start],
        lambda: solver.solve(data, outputs, l2, loss, near=near),
    )  # fmt: skip


def _remembered(
    job: Job, kind: str, of: Sequence[FeatureDataset], loss: Loss, given: Sequence[Tensor | str | None],
    solve: Callable[[], solver.Solution],
) -> solver.Solution:  # fmt: skip
    if type(loss) not in STATELESS:
        return solve()
    parts = [tensor for data in of for tensor in (data.targets, data.rows, data.weights)]
    whole = [of[0].all_values, *parts, type(loss).__name__, *given]
    return solver.Solution.unpacked(remembered(job.cache, kind, whole, lambda: solve().packed()))


def _details(solution: solver.Solution) -> dict[str, Any]:
    return {"l2": solution.l2, "converged": solution.converged}


def solved(job: Job, solution: solver.Solution, scaled_by: Tensor | None = None) -> Head:
    """A head that is the solution; scaled_by: features that its scaler was fitted to before."""
    head = job.new_head()
    if scaled_by is not None:
        head.fit_scaler(scaled_by)
    head.load_solution(solution.weight, solution.bias)
    return head.eval()


def exact(plans: Sequence[Plan], task: Task, head: HeadSpec) -> bool:
    """Whether the exact engine can carry out the plans of every epoch."""
    return solvable(task, head) and all(plan.all_frozen for plan in plans)


def solvable(task: Task, head: HeadSpec | None = None) -> bool:
    """Whether a head of the task (its first for None) can be solved: it is convex, and the task says which loss to
    solve."""
    return (head or registry.head(task.spec.heads[0])).convex and task.solver_loss() is not None


def convex_loss(task: Task, known: Targets, data: FeatureDataset) -> Loss:
    """The task's loss for the exact engine, compared with its own on some rows of targets at outputs drawn at random
    (a `DenseTask` states its own of pieces, not of rows).

    Raises `PluginFault` where their slopes differ: what is solved would be no minimum of what the task states.
    """
    loss = task.solver_loss()
    assert loss is not None, "a task whose head is solved"
    if isinstance(task, DenseTask):
        return loss
    targets = data.targets_at(slice(0, min(COMPARED, len(data))))
    targets = targets if targets.layout == torch.strided else targets.to_dense()
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(len(targets), task.outputs(known), generator=generator, dtype=torch.float64)
    probe = outputs.clone().requires_grad_(True)
    with torch.enable_grad():
        (wanted,) = torch.autograd.grad(task.loss(probe, targets).sum(), probe)
    slope = loss(outputs.clone(), targets)[1]
    if wanted.shape != slope.shape or not torch.allclose(wanted, slope.to(wanted.dtype), rtol=1e-3, atol=1e-5):
        raise PluginFault(
            f"The task '{task.spec.name}' has its head solved for {type(loss).__name__}, whose slope is not that of "
            "the task's own loss, so the solution would be no minimum of it.",
            "Its plugin must return from solver_loss the loss that it states, or None to have it trained by steps.",
            factory=task.spec.factory,
        )
    return loss


@torch.inference_mode()
def outputs_of(head: Head, data: FeatureDataset) -> Tensor:
    """What a head makes of the features of examples, `(N, K)`."""
    return torch.cat([head(features) for _, features in data.chunks()])
