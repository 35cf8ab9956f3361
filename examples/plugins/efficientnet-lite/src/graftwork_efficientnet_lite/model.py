"""EfficientNet-Lite0 as stages: its layers in order, and how a map becomes a vector. Preparation is the modality's."""

from pathlib import Path
from typing import Any

from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from graftwork import Apply, Backbone, BackboneSpec, MapView, Stage, State, load_tensors, map_view, spatial_mean


class EfficientNetLite(Backbone):
    """pool: the mean over positions, `(B, C, H, W)` to `(B, C)`."""

    channels_last = True

    def pool(self, state: State) -> Tensor:
        return spatial_mean(state)

    def map(self, batch: State, state: State) -> MapView:
        return map_view(state.hidden, batch.hidden)


class Block(Stage):
    """An inverted residual block, left out with probability `rate` per example while it trains (stochastic depth)."""

    def __init__(self, name: str, block: nn.Module, rate: float) -> None:
        super().__init__(name)
        self.body = block
        self.rate = rate

    def forward(self, state: State) -> State:
        return State(self.body(state.hidden, drop_connect_rate=self.rate), state.mask)


def build(spec: BackboneSpec, weights: Path | None) -> EfficientNetLite:
    """Build from the packaged state dict (strict), or with random weights.

    Raises `WeightsMismatch` for a file that holds anything but tensors.
    """
    model: Any = EfficientNet.from_name("efficientnet-lite0")
    if weights is not None:
        model.load_state_dict(load_tensors(weights))
    blocks = list(model._blocks)
    most = model._global_params.drop_connect_rate
    stages = [
        Apply("stem", model._conv_stem, model._bn0, model._swish),
        *(Block(f"block{i + 1}", block, most * i / len(blocks)) for i, block in enumerate(blocks)),
        Apply("head", model._conv_head, model._bn1, model._swish),
    ]
    widths = [block._block_args.output_filters for block in blocks]
    return EfficientNetLite(spec, stages, [model._conv_stem.out_channels, *widths, model._conv_head.out_channels])
