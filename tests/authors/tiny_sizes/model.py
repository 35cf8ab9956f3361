"""An encoder of one layer, whose weights are drawn from a seed: those of a size are always the same."""

from pathlib import Path

import torch
from torch import Tensor, nn

from graftwork import Backbone, BackboneSpec, Stage, State


class Patches(Stage):
    """Pixels `(B, 3, 32, 32)` to `(B, 16, D)`."""

    def __init__(self, width: int) -> None:
        super().__init__("patches")
        self.convolution = nn.Conv2d(3, width, 8, stride=8)

    def forward(self, state: State) -> State:
        return State(self.convolution(state.hidden).flatten(2).transpose(1, 2))


class Tiny(Backbone):
    def pool(self, state: State) -> Tensor:
        return state.hidden.mean(1)


def build(spec: BackboneSpec, weights: Path | None) -> Tiny:
    if weights is not None:
        torch.manual_seed(0)
    return Tiny(spec, [Patches(spec.feature_dim)], [spec.feature_dim])
