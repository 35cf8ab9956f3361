"""Losses that the exact engine makes small: convex in the outputs, each with its derivative.

The loss of an example is summed over its outputs. A task names the one that is its own `loss`; that both agree is
checked whenever a head is solved.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from graftwork.errors import PluginFault
from graftwork.specs.returns import returned

if TYPE_CHECKING:
    from graftwork.tasks.task import Task


class Loss(ABC):
    """A convex loss of outputs `(n, K)` and targets of a chunk, as a task encodes them.

    shared: all outputs have one weight vector, and a bias each (thresholds on one scale).
    """

    shared: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of each example `(n,)` float64, and its derivative by the outputs `(n, K)`; may write into them."""

    @abstractmethod
    def curvature(self, outputs: Tensor) -> float:
        """The mean second derivative by an output."""

    @abstractmethod
    def score(self, outputs: Tensor, targets: Tensor) -> float:
        """How good outputs are to a user, a mean over the examples; more is better."""


class Softmax(Loss):
    """Cross-entropy of one label among K; targets are their numbers `(n,)`."""

    def __call__(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.arange(len(targets))
        outputs -= outputs.amax(1, keepdim=True)
        said = outputs[rows, targets].double()
        residual = outputs.exp_()
        total = residual.sum(1, keepdim=True)
        residual /= total
        residual[rows, targets] -= 1
        return total[:, 0].double().log() - said, residual

    def curvature(self, outputs: Tensor) -> float:
        p = torch.softmax(outputs, 1)
        return float((p * (1 - p)).mean())

    def score(self, outputs: Tensor, targets: Tensor) -> float:
        return float((outputs.argmax(1) == targets).double().mean())


class Sigmoid(Loss):
    """Cross-entropy of K labels, each there or not; targets are 0 or 1 `(n, K)`, dense or sparse."""

    def __call__(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        there = _dense(targets, outputs)
        losses = functional.binary_cross_entropy_with_logits(outputs, there, reduction="none").double().sum(1)
        return losses, torch.sigmoid(outputs) - there

    def curvature(self, outputs: Tensor) -> float:
        p = torch.sigmoid(outputs)
        return float((p * (1 - p)).mean())

    def score(self, outputs: Tensor, targets: Tensor) -> float:
        return float(((outputs > 0) == (_dense(targets, outputs) > 0.5)).double().mean())


class Squares(Loss):
    """Half the squared error of K values (ridge regression); targets `(n, K)`."""

    def __call__(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        residual = outputs - _dense(targets, outputs)
        return residual.double().square().sum(1) / 2, residual

    def curvature(self, outputs: Tensor) -> float:
        return 1.0

    def score(self, outputs: Tensor, targets: Tensor) -> float:
        return -float((outputs - _dense(targets, outputs)).double().square().mean())


STATELESS = (Softmax, Sigmoid, Squares)
"""The losses that are told by their class alone."""


def _dense(targets: Tensor, like: Tensor) -> Tensor:
    return (targets.to_dense() if targets.layout != torch.strided else targets).to(like.dtype)


def loss_of_each(task: Task, outputs: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """The loss of each example, `(B,)`. Raises `PluginFault` for a task that gives something else."""
    losses = returned(task.loss(outputs, targets, smoothing), Tensor, task.spec.factory)
    if losses.shape != (len(targets),):
        raise PluginFault(
            f"The task '{task.spec.name}' gives a loss of the shape {tuple(losses.shape)} for {len(targets)} examples; "
            "one number for each is accepted.",
            "Mend 'loss' of the task.",
            factory=task.spec.factory,
        )
    return losses
