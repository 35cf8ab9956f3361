"""Which model types of image encoders in hub layout are read: tables, so that nothing is guessed from a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Mapped(NamedTuple):
    """A type whose layers are stages.

    model: transformers' class. first, layer: what its first stage and the others are called. normed: whether a stage
    "norm" ends it. defaults: of the settings that its sizes are read from, what one means that config.json leaves out.
    """

    model: str
    first: str
    layer: str
    normed: bool
    defaults: Mapping[str, Any]


VIT = {"hidden_size": 768, "num_hidden_layers": 12}

MAPPED: Mapping[str, Mapped] = {
    "convnext": Mapped(
        "ConvNextModel", "stem", "stage", True, {"hidden_sizes": (96, 192, 384, 768), "depths": (3, 3, 9, 3)}
    ),
    "deit": Mapped("DeiTModel", "embeddings", "block", True, VIT),
    "dinov2": Mapped("Dinov2Model", "embeddings", "block", True, VIT),
    "resnet": Mapped(
        "ResNetModel",
        "stem",
        "stage",
        False,
        {"embedding_size": 64, "hidden_sizes": (256, 512, 1024, 2048), "depths": (3, 4, 6, 3)},
    ),
    "swin": Mapped("SwinModel", "embeddings", "stage", True, {"embed_dim": 96, "depths": (2, 2, 6, 2)}),
    "vit": Mapped("ViTModel", "embeddings", "block", True, VIT),
}

WHOLE: Mapping[str, tuple[str, str, str]] = {
    "beit": ("BeitModel", "mean", "hidden_size"),
    "bit": ("BitModel", "map", "hidden_sizes"),
    "convnextv2": ("ConvNextV2Model", "map", "hidden_sizes"),
    "dinov2_with_registers": ("Dinov2WithRegistersModel", "first", "hidden_size"),
    "efficientnet": ("EfficientNetModel", "map", "hidden_dim"),
    "regnet": ("RegNetModel", "map", "hidden_sizes"),
    "swinv2": ("Swinv2Model", "mean", "hidden_size"),
}
"""Types whose layers have no stages here yet: transformers' class for each, what stands for an image (the mean over
tokens, the first token, the mean over a map), and the setting that says how long that vector is.
"""
