"""Heads for comparison: on each of several sets of features, one for each fold, all solved at once and roughly.

One at a time, as `graftwork.training.solver` does it, some hundred small heads spend their time in being begun. Here
all take each step together: Nesterov's, begun again for each head by itself where its momentum points uphill
(O'Donoghue and Candès 2015, arXiv:1204.3982). The variables are those along the principal axes of the features, divided
by the root of the curvature, as in the solver, so that one length of steps serves all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from graftwork.models.machine import one_thread, sleeping_threads
from graftwork.tasks.losses import Loss
from graftwork.training.solver import CLOSE, FINAL, L2S

BYTES = 256 * 2**20
"""Of features that are solved on at once."""

TOGETHER = 2**18
"""Logits that a thread computes at once: what the processor's cache holds."""

PENALTIES = L2S[:-2:2]
"""Decades, of what the solver has half-decades of."""

STEPS, FEWER = 60, 20
"""At each penalty, and of heads of more than `LARGE` products a step. On twenty samples of ten sets of data with up to
10 labels, 60 chose the stages that 400 choose, and 20 on nineteen of them; with 18 and 77 labels, 20 chose on all of
eighteen samples what 300 choose."""

LARGE = 2**24

WIDER = 2.0
"""Along some direction examples curve more than in the mean."""

FLAT = 1e-4
"""The least curvature that steps are measured by."""

SLACK = 1e-3
"""By what part of the first one a value may rise before steps become shorter."""


@dataclass(frozen=True)
class OutOfFold:
    """outputs: for each example `(N, K)` float64, of the head that was solved on the other folds; NaN for fold -1. l2:
    the penalty whose held-out loss is least, by the rule of `graftwork.training.solver.choose`."""

    outputs: Tensor
    l2: float


def out_of_fold(
    sets: Sequence[Tensor], targets: Tensor, fold: Sequence[int], outputs: int, loss: Loss
) -> list[OutOfFold]:
    """What heads on each set of features `(N, D)` make of the examples of each fold that they were not solved on."""
    axes = [principal(features) for features in sets]
    found: list[OutOfFold] = []
    begin = 0
    while begin < len(axes):  # those that fit into memory together
        width, end = 0, begin
        while end < len(axes):
            wider = max(width, axes[end].shape[1])
            if end > begin and (end + 1 - begin) * wider * len(targets) * 4 > BYTES:
                break
            width, end = wider, end + 1
        padded = torch.stack([functional.pad(one, (0, width - one.shape[1])) for one in axes[begin:end]])
        found += _Heads(padded, targets, torch.tensor(fold), outputs, loss).along_path()
        begin = end
    return found


def principal(features: Tensor) -> Tensor:
    """Features along their principal axes `(N, min(N, D))` float32, centred, their variances with the sum 1."""
    centred = features.double() - features.double().mean(0)
    with one_thread():
        if len(centred) < centred.shape[1]:
            lengths, directions = torch.linalg.eigh(centred @ centred.T)
            values = directions * lengths.clamp(min=0).sqrt()
        else:
            values = centred @ torch.linalg.eigh(centred.T @ centred).eigenvectors
    return (values / values.square().sum().div(len(values)).sqrt().clamp(min=1e-12)).float()


class _Heads:
    """Heads on S sets of features `(S, N, R)`, each without one of F folds."""

    def __init__(self, features: Tensor, targets: Tensor, fold: Tensor, outputs: int, loss: Loss) -> None:
        self.features, self.loss, self.outputs = features, loss, outputs
        self.fold, self.folds = fold, sorted(set(fold.tolist()) - {-1})
        self.place = torch.tensor([self.folds.index(f) if f >= 0 else 0 for f in fold.tolist()])
        kept = torch.stack([fold != number for number in self.folds], 1).float()
        self.weights = kept / kept.sum(0)  # (N, F)
        self.own = targets if targets.layout == torch.strided else targets.to_dense()
        repeated = self.own[:, None].expand(len(self.own), len(self.folds), *self.own.shape[1:])
        self.targets = repeated.expand(len(features), *repeated.shape).flatten(0, 2)
        self.curvature = torch.full((len(features),), WIDER * loss.curvature(torch.zeros(1, outputs)))
        self.variances = features.square().mean(1)  # (S, R)
        self.theta = torch.zeros(len(features), len(self.folds), outputs, features.shape[2] + 1)
        logits = len(fold) * len(self.folds) * outputs
        self.step = max(1, TOGETHER // logits)
        self.steps = STEPS if logits * features.shape[2] <= LARGE else FEWER

    def along_path(self) -> list[OutOfFold]:
        """From strong penalties to weak ones, each set until it gains no more by a weaker one."""
        found: list[list[tuple[Tensor, float, float]]] = [[] for _ in self.features]  # outputs, loss and score
        gaining = list(range(len(found)))
        with sleeping_threads(1 if len(found) <= self.step else None) as self.threads:
            for l2 in PENALTIES:
                for number, logits in zip(gaining, self._solved(l2, gaining), strict=True):
                    found[number].append(self._held_out(logits))
                gaining = [number for number in gaining if _gains([loss for _, loss, _ in found[number]])]
                if not gaining:
                    break
        chosen = []
        for path in found:
            least = min(loss for _, loss, _ in path)
            close = [place for place, (_, loss, _) in enumerate(path) if loss <= CLOSE * least]
            best = min(close, key=lambda place: (-path[place][2], path[place][1]))
            chosen.append(OutOfFold(path[best][0], PENALTIES[best]))
        return chosen

    def _solved(self, l2: float, numbers: Sequence[int]) -> Tensor:
        """The logits of all heads on some of the sets for all examples `(S, N, F, K)`."""
        groups = [list(numbers[begin : begin + self.step]) for begin in range(0, len(numbers), self.step)]
        return torch.cat(list(self.threads(lambda some: self._group_solved(l2, some), groups)))

    def _group_solved(self, l2: float, numbers: Sequence[int]) -> Tensor:
        """The same of sets that one thread takes together; the search begins where the last one ended."""
        chosen, curvature, variances = self.features[numbers], self.curvature[numbers], self.variances[numbers]
        sets, rows, _ = chosen.shape
        heads = (sets, len(self.folds), self.outputs)
        size = torch.cat([curvature[:, None] * variances + l2, curvature[:, None]], 1) ** -0.5
        features = torch.cat([chosen, torch.ones(sets, rows, 1)], 2) * size[:, None]
        penalty = (l2 * size.square())[:, None, None]
        penalty[..., -1] = 0

        def logits_of(variables: Tensor) -> Tensor:
            return (features @ variables.flatten(1, 2).transpose(1, 2)).view(sets, rows, *heads[1:])

        def slope_of(variables: Tensor) -> tuple[Tensor, Tensor]:
            """The objective of each head `(S, F)`, and its slope."""
            logits = logits_of(variables)
            losses, residual = self.loss(logits.flatten(0, 2), self.targets[: logits.shape[:3].numel()])
            residual = residual.view(logits.shape) * self.weights[..., None]
            slope = (residual.flatten(2).transpose(1, 2) @ features).view(variables.shape)
            value = (losses.float().view(logits.shape[:3]) * self.weights).sum(1)
            shrunk = penalty * variables
            return value + 0.5 * _dot(shrunk, variables), slope.add_(shrunk)

        last = self.theta[numbers] / size[:, None, None]
        ahead, inertia = last, torch.ones(heads[:2])
        length, first = torch.ones(heads[:2]), None
        for _ in range(self.steps):
            value, slope = slope_of(ahead)
            low, high = torch.aminmax(slope)
            if max(-float(low), float(high)) < FINAL:
                last = ahead
                break
            first = value if first is None else first
            length = length.where(value <= first * (1 + SLACK), length / 2)
            there = torch.addcmul(ahead, length[..., None, None], slope, value=-1)
            moved = there - last
            uphill = _dot(slope, moved) > 0
            inertia = inertia.where(~uphill, 1.0)
            more = (1 + (1 + 4 * inertia.square()).sqrt()) / 2
            momentum = ((inertia - 1) / more)[..., None, None]
            ahead, last, inertia = torch.addcmul(there, momentum, moved), there, more
        self.theta[numbers] = last * size[:, None, None]
        logits = logits_of(last)
        now = [max(WIDER * self.loss.curvature(one.flatten(0, 1)), FLAT) for one in logits]
        self.curvature[numbers] = torch.tensor(now)
        return logits

    def _held_out(self, logits: Tensor) -> tuple[Tensor, float, float]:
        """Of one set, from logits `(N, F, K)`: the outputs for each example of the head without its fold, their mean
        loss and score."""
        judged = self.fold >= 0
        outputs = logits[torch.arange(len(logits)), self.place].double()
        loss = float(self.loss(outputs[judged].clone(), self.own[judged])[0].mean())
        score = self.loss.score(outputs[judged], self.own[judged])
        outputs[~judged] = torch.nan
        return outputs, loss, score


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """The inner products `(S, F)` of the variables of each head, in one pass."""
    return torch.einsum("sfv,sfv->sf", one.flatten(2), other.flatten(2))


def _gains(losses: Sequence[float]) -> bool:
    """Whether the last of the losses along a path is not yet above those before it."""
    return len(losses) < 2 or losses[-1] <= CLOSE * min(losses[:-1])
