"""One score for each example, and a threshold between each two neighbouring labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graftwork import LinearHead


class CumulativeLinkHead(LinearHead):
    """Outputs `(B, K)` are `features @ weight + bias[k]`: the logit that the label lies above threshold k (proportional
    odds, McCullagh 1980). A linear head of one output, its score, and K biases."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__(features, 1)
        self.linear = nn.Linear(features, 1, bias=False)
        self.bias = nn.Parameter(torch.linspace(1, -1, outputs) if outputs > 1 else torch.zeros(1))

    def forward(self, features: Tensor) -> Tensor:
        """`(B, D)` to `(B, K)`."""
        return super().forward(features) + self.bias

    @torch.no_grad()
    def load_solution(self, weight: Tensor, bias: Tensor) -> None:
        """All rows of `weight` `(K, D)` are the same, as `Cumulative` has them solved."""
        self.linear.weight.copy_(weight[:1] * self.size)
        self.bias.copy_(bias + weight @ self.mean)
