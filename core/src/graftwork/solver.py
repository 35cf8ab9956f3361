"""The exact engine's arithmetic: multinomial logistic regression solved from features, its strength chosen on held-out loss.

Objective, for n examples: mean cross-entropy + strength / 2 * ||W||^2; the bias is not penalised. It is convex, so
the solution does not depend on a seed. scikit-learn's C is 1 / (n * strength) of the scaled features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits
from torch import Tensor

STRENGTHS = tuple(float(s) for s in np.logspace(-1, -7, 13))
"""The path: half-decades from strongly to weakly penalised, for features scaled to a mean squared norm of 1."""


@dataclass(frozen=True)
class Solution:
    """logits = features @ weight.T + bias. weight `(K, D)`, bias `(K,)`, float32, for features as they are (unscaled)."""

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

    def solve(self, strength: float) -> Solution:
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

        options = {"maxiter": 1000, "maxfun": 1500, "ftol": 1e-9, "gtol": 1e-6, "maxcor": 20}
        # The optimizer's own vector arithmetic must not wake a second thread pool beside torch's: that is 10 times slower.
        with threadpool_limits(1, user_api="blas"):
            found = minimize(objective, self.theta.ravel(), jac=True, method="L-BFGS-B", options=options)
        self.theta = found.x.reshape(self.shape)
        weight = torch.from_numpy(self.theta[:, :-1]) / self.scaling.size
        bias = torch.from_numpy(self.theta[:, -1]) - weight @ self.scaling.mean.double()
        return Solution(weight.float(), bias.float(), strength, bool(found.success))


def solve(features: Tensor, targets: Tensor, classes: int, strength: float) -> Solution:
    """Solve once. features `(N, D)`, targets `(N,)` class numbers below `classes`."""
    return _Problem(features, targets, classes).solve(strength)


def choose(
    features: Tensor,
    targets: Tensor,
    held_features: Tensor,
    held_targets: Tensor,
    classes: int,
    strengths: Sequence[float] = STRENGTHS,
) -> Solution:
    """Solve along the path of strengths, each from the last one's solution, and keep the one of least held-out loss.

    The path ends once the held-out loss has risen twice in a row.
    """
    problem = _Problem(features, targets, classes)
    best: tuple[float, Solution] | None = None
    rises, previous = 0, float("inf")
    for strength in strengths:
        solution = problem.solve(strength)
        loss = float(torch.nn.functional.cross_entropy(solution.logits(held_features).double(), held_targets.long()))
        if best is None or loss < best[0]:
            best = (loss, solution)
        rises = rises + 1 if loss > previous else 0
        previous = loss
        if rises == 2:
            break
    assert best is not None, "the path of strengths is empty"
    return best[1]
