"""The exact engine's arithmetic: generalised linear models solved from features, their l2 penalty chosen on held-out
examples.

Objective, for n examples: weighted mean loss + l2 / 2 * ||W||^2; the bias is not penalised. It is convex, so the
solution does not depend on a seed. scikit-learn's C is 1 / (n * l2) of the scaled features.

L-BFGS runs in coordinates in which the Hessian is near the identity: those of the Cholesky factor of
`curvature * covariance + l2`, after Böhning's bound on the Hessian of multinomial logistic regression (Annals of
the Institute of Statistical Mathematics 44, 1992). For squared errors that is the Hessian itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import functional

from graftwork.features.dataset import FeatureDataset, release
from graftwork.models.machine import Map, sleeping_threads
from graftwork.tasks.losses import Loss
from graftwork.training.lbfgs import lbfgs

L2S = tuple(float(s) for s in np.logspace(-1, -7, 13))
"""Half-decades from strongly to weakly penalised, for features scaled to a mean squared norm of 1."""
FIRST = 6
"""Where along them the search begins."""

CLOSE = 1.05
"""How much more held-out loss than the least a solution may have and still be chosen for its score."""

SMALL = 1_000_000
"""Features of at most so many numbers are solved in float64 and to `EXACT`, which costs nothing there."""
PATH, FINAL, EXACT = 3e-3, 2e-4, 1e-6
"""Tolerances: to choose by, for what is kept, and for what is small. Each is the largest entry of the gradient in the
coordinates of the search, where the objective is within half its squared length of the least."""
WIDE = 16
"""Outputs are filled up to a multiple of this, which matrix kernels like."""
PIECE = 2**19
"""Scaled features that a thread takes at a time: what the processor's cache holds, with the outputs."""
KEPT = 64 * 2**20
"""Bytes of scaled features that are kept from one evaluation to the next; more are scaled anew each time."""


@dataclass(frozen=True)
class Solution:
    """logits = features @ weight.T + bias. weight `(K, D)`, bias `(K,)`, float32, for unscaled features."""

    weight: Tensor
    bias: Tensor
    l2: float
    converged: bool = True

    def logits(self, features: Tensor) -> Tensor:
        return features.float() @ self.weight.T + self.bias

    def packed(self) -> bytes:
        """As bytes, of which `unpacked` makes the same."""
        return save(
            {"weight": self.weight.contiguous(), "bias": self.bias.contiguous()},
            {"l2": repr(self.l2), "converged": str(self.converged)},
        )

    @classmethod
    def unpacked(cls, made: bytes) -> Solution:
        tensors, size = load(made), int.from_bytes(made[:8], "little")
        about = json.loads(made[8 : 8 + size])["__metadata__"]
        return cls(tensors["weight"], tensors["bias"], float(about["l2"]), about["converged"] == "True")


@dataclass(frozen=True)
class Scaling:
    """Features are centred and divided by one number, which keeps their geometry and makes strengths comparable.

    covariance: of the scaled features `(D, D)` float64; its trace is 1.
    """

    mean: Tensor
    size: float
    covariance: Tensor

    @classmethod
    def of(cls, data: FeatureDataset, threads: Map | None = None) -> Scaling:
        if threads is None:
            with _threads(data) as threads:
                return cls.of(data, threads)
        pieces = data.slices(PIECE)
        mean = _sum(threads(lambda here: _weights(data, here) @ data.features_at(here).double(), pieces)) / data.total

        def covariance_of(here: slice) -> Tensor:
            centred = data.features_at(here).double() - mean
            centred = centred if data.weights is None else centred * _weights(data, here).sqrt()[:, None]
            half = centred if _small(data) else centred.float()
            return (half.T @ half).double()

        covariance = _sum(threads(covariance_of, pieces)) / data.total
        size = float(covariance.trace().clamp(min=0).sqrt()) or 1.0
        return cls(mean, size, covariance / size**2)

    def __call__(self, features: Tensor, dtype: torch.dtype) -> Tensor:
        return (features.to(dtype) - self.mean.to(dtype)) / self.size


def _sum(parts: Iterator[Tensor]) -> Tensor:
    whole = next(parts)
    for part in parts:
        whole += part
    return whole


def _weights(data: FeatureDataset, here: slice) -> Tensor:
    if data.weights is None:
        return torch.ones(here.stop - here.start, dtype=torch.float64)
    return data.weights[here].double()


class _Problem:
    """The objective of one training set, warm-started from penalty to penalty."""

    def __init__(self, data: FeatureDataset, outputs: int, loss: Loss, threads: Map) -> None:
        self.data, self.loss, self.threads = data, loss, threads
        self.scaling = Scaling.of(data, threads)
        self.dtype = torch.float64 if _small(data) else torch.float32
        self.total = data.total
        self.outputs = outputs
        self.copies = outputs if loss.shared else 1
        self.shape = (outputs, data.width + 1)
        self.theta = torch.zeros(self.shape, dtype=torch.float64)
        self.curvature = loss.curvature(torch.zeros(1, outputs))
        self.pieces = data.slices(PIECE)
        self._kept: dict[int, Tensor] = {}
        if len(data) * data.width * self.dtype.itemsize <= KEPT:
            self._kept = dict(zip((p.start for p in self.pieces), threads(self._scaled, self.pieces), strict=True))

    def begin(self, near: Solution) -> None:
        """Start the next search from a solution of a problem like this one."""
        weight = near.weight.double()
        bias = near.bias.double() + weight @ self.scaling.mean
        self.theta = torch.cat([weight * self.scaling.size, bias[:, None]], 1)
        self._see_curvature()

    def _see_curvature(self) -> None:
        features = self._scaled(self.data.slices()[0])
        theta = self.theta.to(self.dtype)
        self.curvature = max(self.loss.curvature(torch.addmm(theta[:, -1], features, theta[:, :-1].T)), 1e-6)

    def _scaled(self, here: slice) -> Tensor:
        """The scaled features of some examples, `(n, D)`."""
        return self.scaling(self.data.features_at(here), self.dtype)

    def _part(self, here: slice, theta: Tensor) -> tuple[float, Tensor]:
        """What some examples add to the loss, and to its gradient by theta `(K, D + 1)`."""
        features = self._kept.get(here.start)
        if features is None:
            features = self._scaled(here)
            release(self.data.all_values)
        logits = torch.addmm(theta[:, -1], features, theta[:, :-1].T)[:, : self.outputs]
        losses, residual = self.loss(logits, self.data.targets_at(here))
        if self.data.weights is not None:
            weights = self.data.weights[here]
            losses, residual = losses * weights, residual * weights[:, None].to(self.dtype)
        return float(losses.sum()), torch.cat([residual.T @ features, residual.sum(0)[:, None]], 1)

    def solve(self, l2: float, tolerance: float = FINAL) -> Solution:
        """Solve from the last solution until no entry of the gradient exceeds `tolerance`."""
        tolerance = EXACT if self.dtype == torch.float64 else tolerance
        factor = self._factor(l2)
        backwards = torch.linalg.solve_triangular(factor, torch.eye(len(factor), dtype=torch.float64), upper=False)
        # theta = coordinates @ across, the gradient by them = the gradient by theta @ across.T
        across = backwards.to(self.dtype)

        def objective(coordinates: Tensor) -> tuple[float, Tensor]:
            theta = self._expanded(coordinates, across)
            weight = theta[:, :-1]
            padded = functional.pad(theta, (0, 0, 0, -self.outputs % WIDE))
            total, gradient = 0.0, torch.zeros(self.shape, dtype=self.dtype)
            for loss, slope in self.threads(lambda here: self._part(here, padded), self.pieces):
                total += loss
                gradient += slope
            gradient /= self.total
            gradient[:, :-1] += l2 / self.copies * weight
            value = total / self.total + l2 / 2 * float(weight.double().square().sum()) / self.copies
            return value, self._gathered(gradient, across)

        found, converged = lbfgs(objective, self._coordinates(factor), tolerance)
        self.theta = self._expanded(found, backwards)
        self._see_curvature()
        weight = self.theta[:, :-1] / self.scaling.size
        bias = self.theta[:, -1] - weight @ self.scaling.mean
        return Solution(weight.float(), bias.float(), l2, converged)

    # The coordinates of the search are those of theta `(K, D + 1)`, or of its one row of weights and its K biases where
    # outputs share their weights.

    def _expanded(self, coordinates: Tensor, across: Tensor) -> Tensor:
        """Coordinates to theta."""
        coordinates = coordinates.to(across.dtype)
        if not self.loss.shared:
            return coordinates.reshape(self.shape) @ across
        weight = coordinates[: self.data.width] @ across[:-1, :-1]
        bias = coordinates[self.data.width :] * across[-1, -1]
        return torch.cat([weight.expand(self.outputs, -1), bias[:, None]], 1)

    def _gathered(self, gradient: Tensor, across: Tensor) -> Tensor:
        """The gradient by theta to that by coordinates."""
        if not self.loss.shared:
            return (gradient @ across.T).double().ravel()
        weight, bias = gradient[:, :-1].sum(0) @ across[:-1, :-1].T, gradient[:, -1] * across[-1, -1]
        return torch.cat([weight, bias]).double()

    def _coordinates(self, factor: Tensor) -> Tensor:
        """Those of theta as it is."""
        if not self.loss.shared:
            return (self.theta @ factor).ravel()
        return torch.cat([self.theta[0, :-1] @ factor[:-1, :-1], self.theta[:, -1] * factor[-1, -1]])

    def _factor(self, l2: float) -> Tensor:
        """The lower Cholesky factor of the metric, the bias last: `(D + 1, D + 1)`."""
        width = self.data.width
        metric = torch.zeros(width + 1, width + 1, dtype=torch.float64)
        metric[:width, :width] = self.curvature * self.copies * self.scaling.covariance
        metric.diagonal()[:width] += l2
        metric[width, width] = self.curvature
        return torch.linalg.cholesky(metric)


def _small(data: FeatureDataset) -> bool:
    return len(data) * data.width <= SMALL


def _threads(data: FeatureDataset) -> AbstractContextManager[Map]:
    """What is small is solved in one thread."""
    return sleeping_threads(1 if _small(data) else None)


def solve(data: FeatureDataset, outputs: int, l2: float, loss: Loss, near: Solution | None = None) -> Solution:
    """Solve once, for so many outputs; from `near` on, which spares time."""
    with _threads(data) as threads:
        problem = _Problem(data, outputs, loss, threads)
        if near is not None:
            problem.begin(near)
        return problem.solve(l2)


def choose(train: FeatureDataset, validation: FeatureDataset, outputs: int, loss: Loss) -> Solution:
    """Solved to `PATH`: of the solutions whose validation loss is within 5 % of the least, the one of the best score.

    Loss alone prefers weaker penalties than the score does when labels are noisy; the bound keeps probabilities honest.
    The least is looked for along `L2S`, each solved from the last one's solution, until a step wins no more than
    those 5 %: validation loss has one valley along the path, and its floor is flat.
    """
    with _threads(train) as threads:
        return _chosen(_Problem(train, outputs, loss, threads), validation)


def _chosen(problem: _Problem, validation: FeatureDataset) -> Solution:
    found: dict[int, tuple[float, float, Solution]] = {}

    def at(place: int) -> float:
        if not 0 <= place < len(L2S):
            return np.inf
        if place not in found:
            solution = problem.solve(L2S[place], PATH)
            found[place] = (*evaluate(solution, validation, problem.loss), solution)
        return found[place][0]

    best = FIRST
    for step in (1, -1):
        while at(best + step) < at(best):
            best += step
            if CLOSE * at(best) > at(best - step):
                break
    close = [entry for entry in found.values() if entry[0] <= CLOSE * at(best)]
    return min(close, key=lambda entry: (-entry[1], entry[0]))[2]


def evaluate(solution: Solution, data: FeatureDataset, loss: Loss) -> tuple[float, float]:
    """The mean loss on examples, and the mean score."""
    total = score = weight = 0.0
    for here, features in data.chunks():
        logits = solution.logits(features).double()
        targets, weights = data.targets_at(here), _weights(data, here)
        score += loss.score(logits, targets) * len(features)
        total += float((loss(logits, targets)[0] * weights).sum())
        weight += float(weights.sum())
    return total / weight, score / len(data)
