"""L-BFGS (Nocedal 1980, Mathematics of Computation 35) for smooth convex functions in coordinates in which the Hessian
is near the identity: the first step is the whole gradient, and nearly every step has the length 1.

scipy's takes as many evaluations; to load it takes longer than to solve ten thousand examples of 384 numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

PAIRS = 10
"""Steps that are remembered."""
STEPS = 1000
HALVINGS = 30
"""How often a step is halved before rounding is to blame."""
SUFFICIENT = 1e-4
"""Part of the decrease that the slope promises (Armijo)."""

Objective = Callable[[Tensor], tuple[float, Tensor]]
"""The value at a point `(n,)`, and the gradient `(n,)` float64."""


def lbfgs(objective: Objective, point: Tensor, tolerance: float) -> tuple[Tensor, bool]:
    """The point `(n,)` float64 of the least value, from `point` on, and whether it was found: no entry of the gradient
    exceeds `tolerance`, or a step gains less than a hundredth of its square."""
    value, slope = objective(point)
    pairs: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=PAIRS)
    for _ in range(STEPS):
        if float(slope.abs().max()) <= tolerance:
            return point, True
        towards = _direction(slope, pairs)
        descent = float(slope @ towards)
        length, before = 1.0, (value, point, slope)
        for _ in range(HALVINGS):
            point = before[1] + length * towards
            value, slope = objective(point)
            if value <= before[0] + SUFFICIENT * length * descent:
                break
            length /= 2
        else:
            return before[1], False
        step, change = point - before[1], slope - before[2]
        if (curved := float(step @ change)) > 0:
            pairs.append((step, change, curved))
        if before[0] - value <= 1e-2 * tolerance**2 * max(abs(value), 1.0):
            return point, True
    return point, False


def _direction(slope: Tensor, pairs: deque[tuple[Tensor, Tensor, float]]) -> Tensor:
    """Minus the product of the gradient with the inverse Hessian that the pairs of steps and changes tell of."""
    towards, shares = -slope, []
    for step, change, curved in reversed(pairs):
        shares.append(float(step @ towards) / curved)
        towards = torch.add(towards, change, alpha=-shares[-1])
    if pairs:
        _, change, curved = pairs[-1]
        towards *= curved / float(change @ change)
    for (step, change, curved), share in zip(pairs, reversed(shares), strict=True):
        towards.add_(step, alpha=share - float(change @ towards) / curved)
    return towards
