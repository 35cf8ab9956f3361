"""Cheap first looks at how well features tell labels apart, without solving a head: LogME, the H-score, neighbours."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

NEIGHBOURS = 5


def columns(targets: Tensor) -> Tensor:
    """Targets as columns `(N, K)` float64: one for each class of whole numbers `(N,)`."""
    targets = targets if targets.layout == torch.strided else targets.to_dense()
    if targets.is_floating_point():
        return targets.double().reshape(len(targets), -1)
    return functional.one_hot(targets).double()


def log_me(features: Tensor, targets: Tensor) -> float:
    """The mean over the columns of targets of the logarithm of the evidence of a linear model, per example: You et al.
    2021, arXiv:2102.11005, its fixed point in the singular vectors of the features (algorithm 3).

    features: `(N, D)`. targets: `(N,)` classes, or `(N, K)`.
    """
    values = features.double() - features.double().mean(0)
    count, width = values.shape
    left, lengths, _ = torch.linalg.svd(values, full_matrices=False)
    squares = lengths.square()
    found = []
    for column in columns(targets).T:
        column = column - column.mean()
        along = (left.T @ column).square()
        beyond = float((column.square().sum() - along.sum()).clamp(min=0))
        alpha = beta = norm = miss = 1.0
        for _ in range(20):
            ratio = alpha / beta
            gamma = float((squares / (squares + ratio)).sum())
            norm = float((squares * along / (squares + ratio).square()).sum())
            miss = float((along / (1 + squares / ratio).square()).sum()) + beyond
            alpha = max(gamma, 1e-12) / max(norm, 1e-12)
            beta = (count - gamma) / max(miss, 1e-12)
            if abs(alpha / beta - ratio) <= 1e-3 * ratio:
                break
        evidence = width * math.log(alpha) + count * math.log(beta) - beta * miss - alpha * norm
        evidence -= float((alpha + beta * squares).log().sum()) + (width - len(squares)) * math.log(alpha)
        found.append((evidence - count * math.log(2 * math.pi)) / (2 * count))
    return sum(found) / len(found)


def h_score(features: Tensor, targets: Tensor) -> float:
    """The trace of the inverse covariance times that of the class means, with shrinkage after Ledoit and Wolf: Ibrahim
    et al. 2021, arXiv:2110.06893. Between 0 and one less than the number of classes.

    features: `(N, D)`. targets: `(N,)` classes.
    """
    from sklearn.covariance import LedoitWolf

    values = features.double() - features.double().mean(0)
    if not bool(values.any()):
        return 0.0
    covariance = LedoitWolf(assume_centered=True).fit(values.numpy())
    shrinkage = float(covariance.shrinkage_)
    indicator = columns(targets)
    means = (indicator.T @ values) / indicator.sum(0)[:, None].clamp(min=1)
    between = (indicator @ means).T @ (indicator @ means) / len(values)
    inverse = torch.from_numpy(covariance.get_precision()).double()
    return (1 - shrinkage) * float((inverse * between).sum())


def neighbours(features: Tensor, targets: Tensor) -> float:
    """Leaving each example out: the share of right answers of the majority of its nearest neighbours by cosine, or for
    values the share of their variance that the mean of the neighbours explains.

    features: `(N, D)`. targets: `(N,)` classes, or `(N, K)`.
    """
    unit = functional.normalize(features.float() - features.float().mean(0), dim=1)
    alike = unit @ unit.T
    alike.fill_diagonal_(-torch.inf)
    nearest = alike.topk(min(NEIGHBOURS, len(unit) - 1), dim=1).indices
    wanted = columns(targets)
    found = wanted[nearest].mean(1)
    if not targets.is_floating_point():
        return float((found.argmax(1) == targets).double().mean())
    left = (found - wanted).square().sum()
    return float(1 - left / (wanted - wanted.mean(0)).square().sum().clamp(min=1e-12))
