"""The exact engine's arithmetic: multinomial logistic regression solved from features, its strength held out.

Objective, for n examples: mean cross-entropy + strength / 2 * ||W||^2; the bias is not penalised. It is convex, so
the solution does not depend on a seed. scikit-learn's C is 1 / (n * strength) of the scaled features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits
from torch import Tensor

STRENGTHS = tuple(float(s) for s in np.logspace(-1, -7, 13))
"""The path: half-decades from strongly to weakly penalised, for features scaled to a mean squared norm of 1."""

CLOSE = 1.05
"""How much more held-out loss than the least a solution may have and still be chosen for its accuracy."""

PATH_TOLERANCE = 1e-5
"""Good enough to choose by; what is kept after the refit is solved to 1e-6."""


@dataclass(frozen=True)
class Solution:
    """logits = features @ weight.T + bias. weight `(K, D)`, bias `(K,)`, float32, for unscaled features."""

    weight: Tensor
    bias: Tensor
    strength: float
    converged: bool = True

    def logits(self, features: Tensor) -> Tensor:
        return features.float() @ self.weight.T + self.bias


@dataclass(frozen=True)
class Scaling:
    """Features are centred and divided by one number, which keeps their geometry and makes strengths comparable."""

    mean: Tensor
    size: float

    @classmethod
    def of(cls, features: Tensor) -> Scaling:
        mean = features.double().mean(0)
        size = float((features.double() - mean).square().sum(1).mean().sqrt())
        return cls(mean.float(), size or 1.0)

    def __call__(self, features: Tensor) -> Tensor:
        return (features.float() - self.mean) / self.size


class _Problem:
    """The objective of one training set, warm-started from strength to strength."""

    def __init__(self, features: Tensor, targets: Tensor, classes: int) -> None:
        self.scaling = Scaling.of(features)
        # float64 costs nothing where the problem is small, and makes its solution exact.
        dtype = torch.float64 if features.numel() <= 1_000_000 else torch.float32
        self.x = self.scaling(features).to(dtype)
        self.y = targets.long()
        self.shape = (classes, features.shape[1] + 1)
        self.theta = np.zeros(self.shape)

    def solve(self, strength: float, tolerance: float = 1e-6) -> Solution:
        """Solve from the last solution until no entry of the gradient exceeds `tolerance`."""
        n = len(self.x)
        rows = torch.arange(n)

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            theta = torch.from_numpy(flat.reshape(self.shape)).to(self.x.dtype)
            weight, bias = theta[:, :-1], theta[:, -1]
            logp = torch.log_softmax(torch.addmm(bias, self.x, weight.T), 1)
            loss = -logp[rows, self.y].double().mean() + strength / 2 * weight.double().square().sum()
            residual = logp.exp_()
            residual[rows, self.y] -= 1
            residual /= n
            gradient = np.empty(self.shape)
            gradient[:, :-1] = (residual.T @ self.x + strength * weight).numpy()
            gradient[:, -1] = residual.sum(0).numpy()
            return float(loss), gradient.ravel()

        options = {"maxiter": 1000, "maxfun": 1500, "ftol": 1e-3 * tolerance, "gtol": tolerance, "maxcor": 20}
        # The optimizer's vector arithmetic must not wake a second thread pool beside torch's.
        with threadpool_limits(1, user_api="blas"):
            found = minimize(objective, self.theta.ravel(), jac=True, method="L-BFGS-B", options=options)
        self.theta = found.x.reshape(self.shape)
        weight = torch.from_numpy(self.theta[:, :-1]) / self.scaling.size
        bias = torch.from_numpy(self.theta[:, -1]) - weight @ self.scaling.mean.double()
        return Solution(weight.float(), bias.float(), strength, bool(found.success))


def solve(features: Tensor, targets: Tensor, classes: int, strength: float) -> Solution:
    """Solve once. features `(N, D)`, targets `(N,)` class numbers below `classes`."""
    return _Problem(features, targets, classes).solve(strength)


def choose(features: Tensor, targets: Tensor, held_features: Tensor, held_targets: Tensor, classes: int) -> Solution:
    """The most accurate on the held-out part of the solutions whose held-out loss is within 5 % of the least.

    Loss alone prefers weaker penalties than accuracy does when labels are noisy; the bound keeps probabilities honest.
    Solved along `STRENGTHS`, each from the last one's solution, until the loss has risen twice in a row; then a
    quarter-decade to either side of the best.
    """
    problem = _Problem(features, targets, classes)
    found: list[tuple[float, float, Solution]] = []

    def step(strength: float) -> float:
        solution = problem.solve(strength, PATH_TOLERANCE)
        logits = solution.logits(held_features).double()
        loss = float(torch.nn.functional.cross_entropy(logits, held_targets.long()))
        found.append((loss, float((logits.argmax(1) == held_targets).double().mean()), solution))
        return loss

    losses: list[float] = []
    for strength in STRENGTHS:
        losses.append(step(strength))
        if len(losses) > 2 and losses[-3] < losses[-2] < losses[-1]:
            break
    least, _, centre = min(found, key=lambda entry: entry[0])
    for factor in (10**-0.25, 10**0.25):
        least = min(least, step(centre.strength * factor))
    close = [entry for entry in found if entry[0] <= CLOSE * least]
    return min(close, key=lambda entry: (-entry[1], entry[0]))[2]
