"""What turns pooled features into the task's outputs, knows its loss and how to decode."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from graftwork.errors import PluginFault


class Head(nn.Module, ABC):
    """Maps pooled features `(B, D)` to outputs; built as `Head(features, outputs)`."""

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """`(B, D)` to logits `(B, K)`."""

    @abstractmethod
    def loss(self, logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """The loss of each example, `(B,)`; `targets` are class numbers `(B,)`, smoothed by `smoothing` (0 to 1)."""

    @abstractmethod
    def decode(self, logits: Tensor) -> Tensor:
        """Logits `(B, K)` to probabilities `(B, K)` whose rows sum to 1."""

    def fit_scaler(self, features: Tensor) -> None:
        """Called once before training by gradient steps, with pooled features `(N, D)` of some examples, so that a
        head can take their place and size into account."""

    def load_solution(self, weight: Tensor, bias: Tensor) -> None:
        """Be the map `features @ weight.T + bias`, of weight `(K, D)` and bias `(K,)`; convex heads can.

        Raises `PluginFault` in a head that is not.
        """
        raise PluginFault(
            f"The head {type(self).__name__} is declared convex and cannot take on a solution.",
            "Its plugin must give it 'load_solution', or declare it not convex.",
        )


class LinearHead(Head):
    """Multinomial logistic regression: one affine map and a softmax. Convex, so the exact engine solves it.

    Features are centred and divided by one number before the map, so that gradient steps of one size serve every
    encoder; `mean` `(D,)` and `size` are 0 and 1 until `fit_scaler` sets them.
    """

    mean: Tensor
    size: Tensor

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, outputs)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("size", torch.ones(()))

    def forward(self, features: Tensor) -> Tensor:
        return self.linear((features - self.mean) / self.size)

    def loss(self, logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        return nn.functional.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)

    def decode(self, logits: Tensor) -> Tensor:
        return logits.double().softmax(-1)

    @torch.no_grad()
    def fit_scaler(self, features: Tensor) -> None:
        """Centre by the mean and divide by the deviation of a dimension (root mean square over all of them)."""
        mean = features.double().mean(0)
        size = (features.double() - mean).square().mean().sqrt()
        self.mean.copy_(mean)
        self.size.copy_(size if size > 0 else torch.ones(()))

    @torch.no_grad()
    def load_solution(self, weight: Tensor, bias: Tensor) -> None:
        self.linear.weight.copy_(weight * self.size)
        self.linear.bias.copy_(bias + weight @ self.mean)
