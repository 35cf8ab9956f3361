"""What turns pooled features into a task's outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from graftwork.errors import PluginFault
from graftwork.models.views import MapView, SequenceView
from graftwork.plugins import registry
from graftwork.specs.factories import load_factory
from graftwork.specs.returns import returned


class Head(nn.Module, ABC):
    """Maps pooled features `(B, D)` to outputs `(B, K)`, or another view to outputs of its task's own; built as
    `Head(features, outputs)`. Its loss is the task's.
    """

    @abstractmethod
    def forward(self, features: Any) -> Any:
        """`(B, D)` to outputs `(B, K)`; a view to outputs of another structure."""

    def fit_scaler(self, features: Any) -> None:
        """Called once before training by gradient steps, with pooled features `(N, D)` of some examples, so that a
        head can take their mean and scale into account; with the view of some examples where it takes one."""

    def load_solution(self, weight: Tensor, bias: Tensor) -> None:
        """Become the map `features @ weight.T + bias`, of weight `(K, D)` and bias `(K,)`; convex heads can.

        Raises `PluginFault` in a head that is not.
        """
        raise PluginFault(
            f"The head {type(self).__name__} is declared convex and cannot take on a solution.",
            "Its plugin must give it 'load_solution', or declare it not convex.",
            factory=f"{type(self).__module__}:{type(self).__name__}",
        )


class LinearHead(Head):
    """One affine map. Convex, so the exact engine solves it.

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


class PositionHead(LinearHead):
    """One affine map of each position of a sequence `(B, T, D)` or a map `(B, C, H, W)`: to `(B, T, K)` or
    `(B, K, H, W)`. Convex, so the exact engine solves it."""

    def forward(self, features: Any) -> Tensor:
        if isinstance(features, SequenceView):
            return super().forward(features.hidden)
        return super().forward(features.hidden.movedim(1, -1)).movedim(-1, 1)

    def fit_scaler(self, features: Any) -> None:
        """Takes rows `(N, D)` too, of positions."""
        if isinstance(features, SequenceView):
            features = features.hidden[features.mask]
        elif isinstance(features, MapView):
            features = features.hidden.movedim(1, -1).flatten(0, -2)
        super().fit_scaler(features)


def build_dense_head(name: str, channels: int | dict[int, int], outputs: int) -> Head:
    """A new head on a view of these channels, with weights by torch's generator.

    Raises `UnknownName`, and `PluginFault` for one that is no head.
    """
    head = load_factory(registry.head(name).factory)(channels, outputs)
    if not isinstance(head, Head):
        raise PluginFault(
            f"The head '{name}' builds a {type(head).__name__}, not a graftwork.Head.",
            "Mend the plugin that brings it.",
            factory=registry.head(name).factory,
        )
    return head


def build_head(name: str, features: int, outputs: int) -> Head:
    """A new head by its registered name, with weights by torch's generator.

    Raises `UnknownName`, and `PluginFault` for one that is no head, brings a loss of its own, or has other outputs.
    """
    head = load_factory(registry.head(name).factory)(features, outputs)
    if not isinstance(head, Head):
        raise PluginFault(
            f"The head '{name}' builds a {type(head).__name__}, not a graftwork.Head.",
            "Mend the plugin that brings it.",
            factory=registry.head(name).factory,
        )
    for method in ("loss", "decode"):
        if hasattr(head, method):
            raise PluginFault(
                f"The head '{name}' brings a '{method}' of its own, which nothing would heed: outputs are judged and "
                "decoded by the task.",
                f"Its plugin must bring a task with that {method}: graftwork.Task.",
                factory=registry.head(name).factory,
            )
    with torch.no_grad():
        found = tuple(returned(head(torch.zeros(2, features)), Tensor, registry.head(name).factory).shape)
    if found != (2, outputs):
        raise PluginFault(
            f"The head '{name}' gives outputs of the shape {found} for 2 examples; the task asks for {(2, outputs)}.",
            "Mend the plugin that brings it: a head is built as Head(features, outputs).",
            factory=registry.head(name).factory,
        )
    return head
