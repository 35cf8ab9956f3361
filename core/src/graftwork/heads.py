"""What turns pooled features into the task's outputs, knows its loss and how to decode."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Head(nn.Module, ABC):
    """Maps pooled features `(B, D)` to outputs; built as `Head(features, outputs)`."""

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """`(B, D)` to logits `(B, K)`."""

    @abstractmethod
    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch, a scalar; `targets` are class numbers `(B,)`."""

    @abstractmethod
    def decode(self, logits: Tensor) -> Tensor:
        """Logits `(B, K)` to probabilities `(B, K)` whose rows sum to 1."""


class LinearHead(Head):
    """Multinomial logistic regression: one affine map and a softmax. Convex, so the exact engine solves it."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, outputs)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits, targets)

    def decode(self, logits: Tensor) -> Tensor:
        return logits.double().softmax(-1)
