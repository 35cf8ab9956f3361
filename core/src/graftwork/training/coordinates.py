"""Coordinates of features in which a head is solved sooner, and to the same solution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from graftwork.features.dataset import CHUNK, FeatureDataset, matrix, release
from graftwork.models.machine import one_thread
from graftwork.training.solver import Solution

EMPTY = 1e-12
"""The least part of the largest squared length along a direction in which examples differ at all."""


@dataclass(frozen=True)
class Coordinates:
    """`(features * factors - mean) @ basis`.

    factors `(D,)`: weigh blocks of features. mean `(D,)`, basis `(D, R)` with orthonormal columns: the examples that a
    head is solved on differ along these alone, so that a penalty of lengths leaves every other direction at 0. None for
    each that changes nothing.
    """

    factors: Tensor | None = None
    mean: Tensor | None = None
    basis: Tensor | None = None

    def of(self, features: Tensor) -> Tensor:
        """Features `(N, D)` in these coordinates, `(N, R)`."""
        if self.factors is None and self.basis is None:
            return features
        made = matrix(len(features), features.shape[1] if self.basis is None else self.basis.shape[1])
        step = max(1, CHUNK // max(1, features.shape[1]))
        for here in (slice(start, start + step) for start in range(0, len(features), step)):
            some = features[here] if self.factors is None else features[here] * self.factors
            made[here] = some if self.basis is None or self.mean is None else (some - self.mean) @ self.basis
            release(features)
        release(made)
        return made

    def back(self, solution: Solution) -> Solution:
        """A solution on these coordinates as one on features."""
        weight, bias = solution.weight, solution.bias
        if self.basis is not None and self.mean is not None:
            weight = weight @ self.basis.T
            bias = bias - weight @ self.mean
        return replace(solution, weight=weight if self.factors is None else weight * self.factors, bias=bias)


def coordinates(data: FeatureDataset, widths: Sequence[int]) -> Coordinates:
    """Those for heads that are solved on these examples, or on some of them.

    widths: of the blocks of features, one for each stage that they are of. Several weigh the same: about their mean,
    the squares of each block sum to 1.
    """
    if len(widths) == 1 and len(data) >= data.width:
        return Coordinates()
    features, factors = data.features, None
    if len(widths) > 1:
        factors = torch.cat([_factor(block).expand(block.shape[1]) for block in features.split(list(widths), 1)])
        features = features * factors
    if len(data) >= data.width:
        return Coordinates(factors)
    mean = features.double().mean(0)
    centred = features.double() - mean
    with one_thread():
        lengths, directions = torch.linalg.eigh(centred @ centred.T)
    there = lengths > EMPTY * lengths[-1].clamp(min=1e-300)
    basis = centred.T @ (directions[:, there] / lengths[there].sqrt())
    return Coordinates(factors, mean.float(), basis.float())


def same_size(blocks: Sequence[Tensor]) -> Tensor:
    """Blocks of features `(N, D)` joined `(N, ...)`; of several, each weighs the same."""
    return blocks[0] if len(blocks) == 1 else torch.cat([block * _factor(block) for block in blocks], 1)


def _factor(block: Tensor) -> Tensor:
    """By what a block of features is multiplied so that about their mean their squares sum to 1."""
    return (block.double().var(0, correction=0).sum().clamp(min=1e-12) ** -0.5).float()
