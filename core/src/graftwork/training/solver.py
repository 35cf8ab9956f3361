"""The exact engine's arithmetic: generalised linear models solved from features, their l2 penalty chosen on held-out examples.

Objective, for n examples: weighted mean loss + l2 / 2 * ||W||^2; the bias is not penalised. It is convex, so the
solution does not depend on a seed. scikit-learn's C is 1 / (n * l2) of the scaled features.

L-BFGS runs in coordinates in which the Hessian is near the identity: those of the Cholesky factor of
`curvature * covariance + l2`, after Böhning's bound on the Hessian of multinomial logistic regression (Annals of
the Institute of Statistical Mathematics 44, 1992). For squared errors that is the Hessian itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional

from graftwork.features.dataset import Part

L2S = tuple(float(s) for s in np.logspace(-1, -7, 13))
"""Half-decades from strongly to weakly penalised, for features scaled to a mean squared norm of 1."""
FIRST = 6
"""Where along them the search begins."""

CLOSE = 1.05
"""How much more held-out loss than the least a solution may have and still be chosen for its accuracy."""

SMALL = 1_000_000
"""Features of at most so many numbers are solved in float64 and to `EXACT`, which costs nothing there."""
PATH, FINAL, EXACT = 3e-3, 2e-4, 1e-6
"""Tolerances: to choose by, for what is kept, and for what is small. Each is the largest entry of the gradient in the
coordinates of the search, where the objective is within half its squared length of the least."""
WIDE = 16
"""Outputs are filled up to a multiple of this, which matrix kernels like."""
KEPT = 64 * 2**20
"""Bytes of scaled features that are kept from one evaluation to the next; more are scaled anew each time."""


class Loss(ABC):
    """What a solution is to make small. Targets are those of a chunk; the loss of an example is summed over outputs."""

    @abstractmethod
    def __call__(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of each example `(n,)` float64, and its derivative by the logits `(n, K)`; may write into them."""

    @abstractmethod
    def curvature(self, logits: Tensor) -> float:
        """The mean second derivative by a logit."""

    @abstractmethod
    def accuracy(self, logits: Tensor, targets: Tensor) -> float:
        """How good they are to a user, the higher the better."""


class Softmax(Loss):
    """Cross-entropy of one class among K; targets are class numbers `(n,)`."""

    def __call__(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.arange(len(targets))
        logits -= logits.amax(1, keepdim=True)
        said = logits[rows, targets].double()
        residual = logits.exp_()
        total = residual.sum(1, keepdim=True)
        residual /= total
        residual[rows, targets] -= 1
        return total[:, 0].double().log() - said, residual

    def curvature(self, logits: Tensor) -> float:
        p = torch.softmax(logits, 1)
        return float((p * (1 - p)).mean())

    def accuracy(self, logits: Tensor, targets: Tensor) -> float:
        return float((logits.argmax(1) == targets).double().mean())


class Sigmoid(Loss):
    """Cross-entropy of K labels, each there or not; targets are 0 or 1 `(n, K)`, dense or sparse."""

    def __call__(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        there = _dense(targets, logits)
        losses = functional.binary_cross_entropy_with_logits(logits, there, reduction="none").double().sum(1)
        return losses, torch.sigmoid(logits) - there

    def curvature(self, logits: Tensor) -> float:
        p = torch.sigmoid(logits)
        return float((p * (1 - p)).mean())

    def accuracy(self, logits: Tensor, targets: Tensor) -> float:
        return float(((logits > 0) == (_dense(targets, logits) > 0.5)).double().mean())


class Squares(Loss):
    """Half the squared error of K values (ridge regression); targets `(n, K)`."""

    def __call__(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        residual = logits - _dense(targets, logits)
        return residual.double().square().sum(1) / 2, residual

    def curvature(self, logits: Tensor) -> float:
        return 1.0

    def accuracy(self, logits: Tensor, targets: Tensor) -> float:
        return -float((logits - _dense(targets, logits)).double().square().mean())


def _dense(targets: Tensor, like: Tensor) -> Tensor:
    return (targets.to_dense() if targets.layout != torch.strided else targets).to(like.dtype)


@dataclass(frozen=True)
class Solution:
    """logits = features @ weight.T + bias. weight `(K, D)`, bias `(K,)`, float32, for unscaled features."""

    weight: Tensor
    bias: Tensor
    l2: float
    converged: bool = True

    def logits(self, features: Tensor) -> Tensor:
        return features.float() @ self.weight.T + self.bias


@dataclass(frozen=True)
class Scaling:
    """Features are centred and divided by one number, which keeps their geometry and makes strengths comparable.

    covariance: of the scaled features `(D, D)` float64; its trace is 1.
    """

    mean: Tensor
    size: float
    covariance: Tensor

    @classmethod
    def of(cls, part: Part) -> Scaling:
        count, total = 0.0, torch.zeros(part.width, dtype=torch.float64)
        for here, features in part.chunks():
            weights = _weights(part, here)
            total += weights @ features.double()
            count += float(weights.sum())
        mean = total / count
        covariance = torch.zeros(part.width, part.width, dtype=torch.float64)
        for here, features in part.chunks():
            centred = features.double() - mean
            centred = centred if part.weights is None else centred * _weights(part, here).sqrt()[:, None]
            small = part.width * len(part) <= SMALL
            half = centred if small else centred.float()
            covariance += (half.T @ half).double()
        covariance /= count
        size = float(covariance.trace().clamp(min=0).sqrt()) or 1.0
        return cls(mean, size, covariance / size**2)

    def __call__(self, features: Tensor, dtype: torch.dtype) -> Tensor:
        return (features.to(dtype) - self.mean.to(dtype)) / self.size


def _weights(part: Part, here: slice) -> Tensor:
    if part.weights is None:
        return torch.ones(here.stop - here.start, dtype=torch.float64)
    return part.weights[here].double()


class _Problem:
    """The objective of one training set, warm-started from penalty to penalty."""

    def __init__(self, part: Part, outputs: int, loss: Loss) -> None:
        self.part, self.loss = part, loss
        self.scaling = Scaling.of(part)
        self.dtype = torch.float64 if len(part) * part.width <= SMALL else torch.float32
        self.total = part.total
        self.shape = (outputs, part.width + 1)
        self.theta = torch.zeros(self.shape, dtype=torch.float64)
        self.curvature = loss.curvature(torch.zeros(1, outputs))
        size = len(part) * part.width * self.dtype.itemsize
        self._kept = list(self._scaled()) if size <= KEPT else None

    def begin(self, near: Solution) -> None:
        """Start the next search from a solution of a problem like this one."""
        weight = near.weight.double()
        bias = near.bias.double() + weight @ self.scaling.mean
        self.theta = torch.cat([weight * self.scaling.size, bias[:, None]], 1)
        self._see_curvature()

    def _see_curvature(self) -> None:
        _, features = next(self._chunks())
        theta = self.theta.to(self.dtype)
        self.curvature = max(self.loss.curvature(torch.addmm(theta[:, -1], features, theta[:, :-1].T)), 1e-6)

    def _scaled(self) -> Iterator[tuple[slice, Tensor]]:
        return ((here, self.scaling(features, self.dtype)) for here, features in self.part.chunks())

    def _chunks(self) -> Iterator[tuple[slice, Tensor]]:
        return iter(self._kept) if self._kept is not None else self._scaled()

    def solve(self, l2: float, tolerance: float = FINAL) -> Solution:
        """Solve from the last solution until no entry of the gradient exceeds `tolerance`."""
        tolerance = EXACT if self.dtype == torch.float64 else tolerance
        outputs, factor = self.shape[0], self._factor(l2)
        backwards = torch.linalg.solve_triangular(factor, torch.eye(len(factor), dtype=torch.float64), upper=False)
        # theta = coordinates @ across, the gradient by them = the gradient by theta @ across.T
        across = backwards.to(self.dtype)

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            coordinates = torch.from_numpy(flat.reshape(self.shape)).to(self.dtype)
            theta = coordinates @ across
            weight = theta[:, :-1]
            padded = functional.pad(theta, (0, 0, 0, -outputs % WIDE))
            total, gradient = 0.0, torch.zeros(self.shape, dtype=self.dtype)
            for here, features in self._chunks():
                logits = torch.addmm(padded[:, -1], features, padded[:, :-1].T)[:, :outputs]
                losses, residual = self.loss(logits, self.part.targets_at(here))
                if self.part.weights is not None:
                    weights = self.part.weights[here]
                    losses, residual = losses * weights, residual * weights[:, None].to(self.dtype)
                total += float(losses.sum())
                gradient[:, :-1] += residual.T @ features
                gradient[:, -1] += residual.sum(0)
            gradient /= self.total
            gradient[:, :-1] += l2 * weight
            value = total / self.total + l2 / 2 * float(weight.double().square().sum())
            return value, (gradient @ across.T).double().numpy().ravel()

        begin = (self.theta @ factor).numpy().ravel()
        options = {"maxiter": 1000, "maxfun": 1500, "ftol": 1e-2 * tolerance**2, "gtol": tolerance, "maxcor": 10}
        # The optimizer's vector arithmetic must not wake a second thread pool beside torch's.
        with threadpool_limits(1, user_api="blas"):
            found = minimize(objective, begin, jac=True, method="L-BFGS-B", options=options)
        self.theta = torch.from_numpy(found.x.reshape(self.shape)) @ backwards
        self._see_curvature()
        weight = self.theta[:, :-1] / self.scaling.size
        bias = self.theta[:, -1] - weight @ self.scaling.mean
        return Solution(weight.float(), bias.float(), l2, bool(found.success))

    def _factor(self, l2: float) -> Tensor:
        """The lower Cholesky factor of the metric, the bias last: `(D + 1, D + 1)`."""
        width = self.part.width
        metric = torch.zeros(width + 1, width + 1, dtype=torch.float64)
        metric[:width, :width] = self.curvature * self.scaling.covariance
        metric.diagonal()[:width] += l2
        metric[width, width] = self.curvature
        return torch.linalg.cholesky(metric)


def solve(part: Part, outputs: int, l2: float, loss: Loss | None = None, near: Solution | None = None) -> Solution:
    """Solve once, for as many outputs as there are classes or values; from `near` on, which spares time."""
    problem = _Problem(part, outputs, loss or Softmax())
    if near is not None:
        problem.begin(near)
    return problem.solve(l2)


def choose(train: Part, held: Part, outputs: int, loss: Loss | None = None) -> Solution:
    """Solved to `PATH`: of the solutions whose held-out loss is within 5 % of the least, the most accurate.

    Loss alone prefers weaker penalties than accuracy does when labels are noisy; the bound keeps probabilities honest.
    The least is looked for along `L2S`, each solved from the last one's solution, until a step wins no more than
    those 5 %: held-out loss has one valley along the path, and its floor is flat.
    """
    loss = loss or Softmax()
    problem = _Problem(train, outputs, loss)
    found: dict[int, tuple[float, float, Solution]] = {}

    def at(place: int) -> float:
        if not 0 <= place < len(L2S):
            return np.inf
        if place not in found:
            solution = problem.solve(L2S[place], PATH)
            found[place] = (*judged(solution, held, loss), solution)
        return found[place][0]

    best = FIRST
    for step in (1, -1):
        while at(best + step) < at(best):
            best += step
            if CLOSE * at(best) > at(best - step):
                break
    close = [entry for entry in found.values() if entry[0] <= CLOSE * at(best)]
    return min(close, key=lambda entry: (-entry[1], entry[0]))[2]


def judged(solution: Solution, held: Part, loss: Loss) -> tuple[float, float]:
    """The mean loss on a part, and how accurate it is there."""
    total = accuracy = weight = 0.0
    for here, features in held.chunks():
        logits = solution.logits(features).double()
        targets, weights = held.targets_at(here), _weights(held, here)
        accuracy += loss.accuracy(logits, targets) * len(features)
        total += float((loss(logits, targets)[0] * weights).sum())
        weight += float(weights.sum())
    return total / weight, accuracy / len(held)
