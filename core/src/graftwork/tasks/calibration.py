"""How far probabilities lie from how often they are right, and the one temperature that brings them nearer.

Both after Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv:1706.04599).
"""

from __future__ import annotations

import math
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

BINS = 15
"""Of equal width, as in the paper's tables and torchmetrics, so that figures can be compared. Bins of equal mass (Nixon
et al. 2019, arXiv:1904.01685) would depend on which of like probabilities comes first."""
FEWEST = 40
"""Of fewer held-out examples no temperature is chosen."""
FOLDS = 5
"""Parts of the held-out examples, each judged by the temperature that the others choose."""
MOST = 2000
"""One number is learned well enough from so many."""
LEAST, GREATEST = 0.05, 20.0
"""Temperatures that are tried."""
CLOSE = 1e-3
"""What two steps of the search for a temperature differ by in the end, as a part of it."""

Losses = Callable[["Tensor", "Tensor", float], "Tensor"]
"""The loss of each example `(N,)`, as `graftwork.Task.loss` gives it."""
Confidence = Callable[["Tensor"], tuple[np.ndarray, np.ndarray, float]]
"""Of outputs: the probabilities of what they say `(M,)`, whether that is so `(M,)`, and the log loss in nats."""


@dataclass(frozen=True)
class Tempered:
    """temperature: what outputs are divided by; 1 where none lowers the loss. each: what the outputs of each held-out
    example are divided by to be judged, `(N, 1)` float64: chosen by the folds that it is not in."""

    temperature: float
    each: Tensor

    def as_json(self, outputs: Tensor, confidence: Confidence) -> dict[str, Any]:
        """What `graftwork.Task.calibration` returns, for the held-out outputs `(N, K)`."""
        (said, right, loss), (said_after, right_after, loss_after) = map(confidence, (outputs, outputs / self.each))
        return {
            "temperature": self.temperature,
            "ece_before": calibration_error(said, right),
            "ece_after": calibration_error(said_after, right_after),
            "log_loss_before": loss,
            "log_loss_after": loss_after,
            "bins": reliability(said_after, right_after),
        }


def temper(outputs: Tensor, targets: Tensor, losses: Losses) -> Tempered:
    """The temperature of held-out outputs `(N, K)`, kept only where it lowers the loss of examples that did not choose
    it: each fold is judged by the temperature of the others."""

    from graftwork.models.machine import one_thread

    tempered = _tempered_before()
    known = tempered.get(outputs)
    if known is None or known[0] is not targets or known[1] != losses:
        with one_thread():
            known = tempered[outputs] = targets, losses, _tempered(outputs, targets, losses)
    return known[2]


@cache
def _tempered_before() -> MutableMapping[Tensor, tuple[Tensor, Losses, Tempered]]:
    """By outputs that are still held: a task is asked three times for what follows from the same temperatures."""
    from torch.utils.weak import WeakIdKeyDictionary

    return WeakIdKeyDictionary()


def _tempered(outputs: Tensor, targets: Tensor, losses: Losses) -> Tempered:
    import torch

    outputs, count = outputs.double(), len(outputs)
    none = Tempered(1.0, torch.ones(count, 1, dtype=torch.float64))
    if count < FEWEST:
        return none
    order, each = torch.randperm(count, generator=torch.Generator().manual_seed(0)), torch.ones_like(none.each)
    for fold in range(FOLDS):
        others = order[torch.arange(count) % FOLDS != fold]
        each[order[fold::FOLDS]] = best_temperature(outputs[others], targets[others], losses)
    if not float(losses(outputs / each, targets, 0.0).mean()) < float(losses(outputs, targets, 0.0).mean()):
        return none
    return Tempered(best_temperature(outputs[order], targets[order], losses), each)


def best_temperature(outputs: Tensor, targets: Tensor, losses: Losses) -> float:
    """The temperature of the least mean loss of outputs `(N, K)` in an order by chance; the loss is convex in its
    inverse.

    Targets count as 1 / (N + 2) uncertain (Platt 1999, "Probabilistic Outputs for Support Vector Machines"), so that
    examples which are all right do not make answers certain.
    """
    import torch

    outputs, targets = outputs[:MOST].clone(), targets[:MOST]
    doubt = 1 / (len(outputs) + 2)

    def slope(log: float) -> float:
        """The derivative of the mean loss by the logarithm of the temperature."""
        at = torch.tensor(log, dtype=outputs.dtype, requires_grad=True)
        with torch.enable_grad():
            (found,) = torch.autograd.grad(losses(outputs * (-at).exp(), targets, doubt).mean(), at)
        return float(found)

    low, high = math.log(LEAST), math.log(GREATEST)
    before, now = None, (0.0, slope(0.0))
    while high - low > CLOSE:
        low, high = (low, now[0]) if now[1] > 0 else (now[0], high)
        there = (low + high) / 2
        if before is not None and now[1] != before[1]:
            secant = now[0] - now[1] * (now[0] - before[0]) / (now[1] - before[1])
            there = secant if low < secant < high else there
        if abs(there - now[0]) < CLOSE:
            return math.exp(there)
        before, now = now, (there, slope(there))
    return math.exp((low + high) / 2)


def calibration_error(said: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error, 0 to 1: the distance between the mean of the probabilities `(M,)` of a bin and the
    part of them that is right `(M,)`, weighed by how many are in it."""
    gaps = np.bincount(_bins(said), weights=said - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(said))


def reliability(said: np.ndarray, right: np.ndarray) -> list[dict[str, float]]:
    """Each bin that holds any of the probabilities `(M,)`: its bounds, their mean, the part of them that is right
    `(M,)` and how many there are."""
    places = _bins(said)
    return [
        {
            "low": place / BINS,
            "high": (place + 1) / BINS,
            "confidence": float(said[places == place].mean()),
            "accuracy": float(right[places == place].mean()),
            "count": int((places == place).sum()),
        }
        for place in np.unique(places).tolist()
    ]


def _bins(said: np.ndarray) -> np.ndarray:
    return np.minimum((said * BINS).astype(np.int64), BINS - 1)
