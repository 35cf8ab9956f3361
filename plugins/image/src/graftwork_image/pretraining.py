"""Pretraining ResNet and ViT: networks from nothing, and the objective of painting in hidden patches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import ResNetModel, ViTMAEConfig, ViTMAEForPreTraining, ViTModel

from graftwork import Given, Objective, hub_state, new_model, read_json, save_new

DECODER = {"decoder_num_hidden_layers": 2, "decoder_num_attention_heads": 4, "decoder_hidden_size": 128,
           "decoder_intermediate_size": 512, "norm_pix_loss": True}  # fmt: skip
"""The decoder that goes with small encoders; He et al. 2022 find that a light one serves."""


def resnet(folder: Path, fields: Mapping[str, Any], values: Iterator[Any]) -> None:
    """A ResNet of this shape, for images of `image_size` pixels. Raises `UsageError` for fields that it has not."""
    shape = {name: value for name, value in fields.items() if name != "image_size"}
    save_new(new_model(ResNetModel, shape), folder)
    _write_front(folder, fields["image_size"])


def vit(folder: Path, fields: Mapping[str, Any], values: Iterator[Any]) -> None:
    """A ViT of this shape. Raises `UsageError` for fields that it does not have."""
    save_new(new_model(ViTModel, fields, add_pooling_layer=False), folder)
    _write_front(folder, fields["image_size"])


def _write_front(folder: Path, size: int) -> None:
    front = {
        "image_processor_type": "BitImageProcessor", "do_resize": True, "size": {"shortest_edge": size},
        "do_center_crop": True, "crop_size": {"height": size, "width": size}, "resample": 3, "do_rescale": True,
        "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(front, indent=2) + "\n", encoding="utf-8")


class HiddenPatches(Objective):
    """Masked autoencoding: three quarters of the patches are hidden, and a small decoder paints them in from the rest
    (He et al. 2022, arXiv:2111.06377), by transformers' model and loss."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        said = read_json(given.folder / "config.json")
        known = ViTMAEConfig().to_dict()
        shape = {name: value for name, value in said.items() if name in known and name != "model_type"}
        self.model: Any = ViTMAEForPreTraining(ViTMAEConfig(**{**shape, **DECODER}))

    def loss(self, loaded: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        return self.model(loaded.to(self.given.device).state.hidden).loss, {}

    def hub_state(self) -> dict[str, Tensor]:
        return hub_state(self.model.vit)
