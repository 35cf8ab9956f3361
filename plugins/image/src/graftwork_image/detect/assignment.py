"""Which positions of a pyramid are to find which box (Tian et al. 2019, arXiv:1904.01355, sections 3.1 and 3.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

RANGES = {8: (0, 64), 16: (64, 128), 32: (128, 256), 64: (256, 512), 128: (512, math.inf)}
"""For each stride the distances in pixels to the farthest edge of a box that its positions find."""

RADIUS = 1.5
"""Positions so many strides from the middle of a box find it (the authors' centre sampling)."""

BACKGROUND, IGNORED = -1, -2


@dataclass(frozen=True)
class PieceBoxes:
    """The boxes of a piece: corners `(n, 4)` float32 in its pixels, numbers of their labels `(n,)` int64, and whether
    each is ignored `(n,)` bool."""

    corners: Tensor
    labels: Tensor
    ignored: Tensor


@dataclass(frozen=True)
class Positions:
    """The positions of all maps of a pyramid, finest map first: x and y `(P, 2)` in pixels, and strides `(P,)`."""

    points: Tensor
    strides: Tensor

    @classmethod
    def of(cls, sizes: Mapping[int, tuple[int, int]]) -> Positions:
        """Those of maps of these heights and widths, by stride. A position lies in the middle of its square."""
        points, strides = [], []
        for stride, (high, wide) in sizes.items():
            down, across = (torch.arange(count) * stride + stride / 2 for count in (high, wide))
            grid = torch.stack(torch.meshgrid(down, across, indexing="ij"), -1).flip(-1)
            points.append(grid.reshape(-1, 2))
            strides.append(torch.full((high * wide,), float(stride)))
        return cls(torch.cat(points), torch.cat(strides))

    def corners(self, distances: Tensor) -> Tensor:
        """Boxes `(..., 4)` at such distances `(..., 4)` to the left, top, right and bottom."""
        points = self.points.to(distances.device)
        return torch.cat([points - distances[..., :2], points + distances[..., 2:]], -1)

    def assigned(self, boxes: PieceBoxes) -> tuple[Tensor, Tensor]:
        """For each position the number of the label that it is to find, `(P,)` with -1 for none and -2 for what is
        neither right nor wrong; and the corners of its box, `(P, 4)`, zeros where there is none.

        The smallest of several boxes wins. A box that no position would find (it is thin, lies between them, or around
        smaller ones) takes the nearest of the map for its size, a free one inside of it if there is any.
        """
        count = len(self.points)
        labels, corners = torch.full((count,), BACKGROUND), torch.zeros(count, 4)
        labels[self._inside(boxes.corners[boxes.ignored]).any(1)] = IGNORED
        true, names = boxes.corners[~boxes.ignored], boxes.labels[~boxes.ignored]
        if not len(true):
            return labels, corners
        areas = (true[:, 2:] - true[:, :2]).prod(1)
        costs = torch.where(self._candidates(true), areas, torch.inf)
        for _ in range(2):  # the nearest position of one may be the only one of another
            won = costs.argmin(1)[costs.amin(1) < torch.inf]
            lost = torch.bincount(won, minlength=len(true)) == 0
            for box in lost.nonzero()[:, 0].tolist():
                costs[self._nearest(true[box], costs.amin(1) == torch.inf), box] = 0.0
        best = costs.argmin(1)
        found = costs.amin(1) < torch.inf
        labels[found], corners[found] = names[best[found]], true[best[found]]
        return labels, corners

    def _inside(self, corners: Tensor) -> Tensor:
        """Whether each position lies in each box, `(P, n)`."""
        return ((self.points[:, None] > corners[:, :2]) & (self.points[:, None] < corners[:, 2:])).all(-1)

    def _candidates(self, corners: Tensor) -> Tensor:
        """Whether each position may find each box, `(P, n)`."""
        middle = (corners[:, :2] + corners[:, 2:]) / 2
        central = (self.points[:, None] - middle).abs().amax(-1) < RADIUS * self.strides[:, None]
        edges = torch.cat([self.points[:, None] - corners[:, :2], corners[:, 2:] - self.points[:, None]], -1)
        farthest = edges.amax(-1)
        least, most = self._ranges
        return self._inside(corners) & central & (farthest > least) & (farthest <= most)

    @cached_property
    def _ranges(self) -> tuple[Tensor, Tensor]:
        """The least and the greatest distance to the farthest edge for each position, `(P, 1)`."""
        found = torch.tensor([RANGES[int(stride)] for stride in self.strides.tolist()], dtype=torch.float32)
        return found[:, :1], found[:, 1:]

    def _nearest(self, corners: Tensor, free: Tensor) -> int:
        """The position nearest to the middle of a box, on the map for its size. free: those that find nothing."""
        reach = float((corners[2:] - corners[:2]).max()) / 2
        stride = next(stride for stride, (_, most) in RANGES.items() if reach <= most)
        own = self.strides == stride
        better = own & free & self._inside(corners[None])[:, 0]
        away = (self.points - (corners[:2] + corners[2:]) / 2).square().sum(1)
        return int(torch.where(better if bool(better.any()) else own, away, torch.inf).argmin())
