"""One score for each example, and a threshold between each two neighbouring labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graftwork import Head


class CumulativeLinkHead(Head):
    """Outputs `(B, K)` are `features @ weight + bias[k]`: the logit that the label lies above threshold k (proportional
    odds, McCullagh 1980). Features are centred and scaled by one number first."""

    mean: Tensor
    size: Tensor

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(features))
        self.bias = nn.Parameter(torch.linspace(1, -1, outputs) if outputs > 1 else torch.zeros(1))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("size", torch.ones(()))

    def forward(self, features: Tensor) -> Tensor:
        """`(B, D)` to `(B, K)`."""
        return ((features - self.mean) / self.size @ self.weight)[:, None] + self.bias

    @torch.no_grad()
    def fit_scaler(self, features: Tensor) -> None:
        mean = features.double().mean(0)
        size = (features.double() - mean).square().mean().sqrt()
        self.mean.copy_(mean)
        self.size.copy_(size if size > 0 else torch.ones(()))

    @torch.no_grad()
    def load_solution(self, weight: Tensor, bias: Tensor) -> None:
        """All rows of `weight` `(K, D)` are the same, as `Cumulative` has them solved."""
        self.weight.copy_(weight[0] * self.size)
        self.bias.copy_(bias + weight @ self.mean)
