"""EfficientNet-Lite0 as stages: its layers in order, and how a map becomes a vector. Preparation is the modality's."""

from pathlib import Path

import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor

from graftwork import Apply, Backbone, BackboneSpec, State, spatial_mean


class EfficientNetLite(Backbone):
    """pool: the mean over positions, `(B, C, H, W)` to `(B, C)`."""

    channels_last = True

    def pool(self, state: State) -> Tensor:
        return spatial_mean(state)


def build(spec: BackboneSpec, weights: Path | None) -> EfficientNetLite:
    """Build from the packaged state dict (strict, weights_only), or with random weights."""
    model = EfficientNet.from_name("efficientnet-lite0")
    if weights is not None:
        model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    blocks = list(model._blocks)
    stages = [
        Apply("stem", model._conv_stem, model._bn0, model._swish),
        *(Apply(f"block{i + 1}", block) for i, block in enumerate(blocks)),
        Apply("head", model._conv_head, model._bn1, model._swish),
    ]
    widths = [block._block_args.output_filters for block in blocks]
    return EfficientNetLite(spec, stages, [model._conv_stem.out_channels, *widths, model._conv_head.out_channels])
