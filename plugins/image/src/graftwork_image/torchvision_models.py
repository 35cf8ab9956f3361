"""Torchvision's classifiers as stages: built whole, loaded strictly, then taken apart without their ImageNet heads."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision import models

from graftwork import Apply, Backbone, BackboneSpec, Stage, State, WeightsMismatch, spatial_mean


class Convolutional(Backbone):
    """pool: the mean over positions of a map; vectors (VGG's fully connected stages) as they are."""

    channels_last = True

    def pool(self, state: State) -> Tensor:
        return spatial_mean(state)


class Vit(Backbone):
    """pool: the class token, as the classifier reads it."""

    def pool(self, state: State) -> Tensor:
        return state.hidden[:, 0].float()


class Patches(Stage):
    """Pixels `(B, 3, H, W)` to tokens `(B, 1 + patches, D)`: class token first, positions added."""

    def __init__(self, model: models.VisionTransformer) -> None:
        super().__init__("stem")
        self.projection = model.conv_proj
        self.class_token = model.class_token
        self.positions = model.encoder.pos_embedding
        self.dropout = model.encoder.dropout

    def forward(self, state: State) -> State:
        patches = self.projection(state.hidden).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(patches), -1, -1), patches], 1)
        return State(self.dropout(tokens + self.positions))


class Renormalise(nn.Module):
    """ImageNet's mean and deviation to Inception's own, 0.5 and 0.5 (torchvision's transform_input)."""

    def forward(self, pixels: Tensor) -> Tensor:
        mean = torch.tensor((0.485, 0.456, 0.406), dtype=pixels.dtype, device=pixels.device).view(1, 3, 1, 1)
        std = torch.tensor((0.229, 0.224, 0.225), dtype=pixels.dtype, device=pixels.device).view(1, 3, 1, 1)
        return (pixels * std + mean - 0.5) / 0.5


def _resnet(model: models.ResNet) -> Sequence[Stage]:
    stem = Apply("stem", model.conv1, model.bn1, model.relu, model.maxpool)
    return [stem, *(Apply(name, getattr(model, name)) for name in ("layer1", "layer2", "layer3", "layer4"))]


def _vit(model: models.VisionTransformer) -> Sequence[Stage]:
    blocks = [Apply(f"block{i + 1}", layer) for i, layer in enumerate(model.encoder.layers)]
    return [Patches(model), *blocks, Apply("norm", model.encoder.ln)]


def _vgg(model: models.VGG) -> Sequence[Stage]:
    stages, block = [], []
    for layer in model.features.children():
        block.append(layer)
        if isinstance(layer, nn.MaxPool2d):
            stages.append(Apply(f"block{len(stages) + 1}", *block))
            block = []
    layers = list(model.classifier)
    return [*stages, Apply("fc6", model.avgpool, nn.Flatten(), *layers[:3]), Apply("fc7", *layers[3:6])]


def _inception(model: models.Inception3) -> Sequence[Stage]:
    names = (
        "Conv2d_1a_3x3",
        "Conv2d_2a_3x3",
        "Conv2d_2b_3x3",
        "maxpool1",
        "Conv2d_3b_1x1",
        "Conv2d_4a_3x3",
        "maxpool2",
    )
    stem = Apply("stem", Renormalise(), *(getattr(model, name) for name in names))
    mixed = [name for name, _ in model.named_children() if name.startswith("Mixed")]
    return [stem, *(Apply(name.lower().replace("_", ""), getattr(model, name)) for name in mixed)]


FAMILIES: dict[str, tuple[type[Backbone], Callable[..., Sequence[Stage]], tuple[int, ...]]] = {
    "resnet18": (Convolutional, _resnet, (64, 64, 128, 256, 512)),
    "resnet50": (Convolutional, _resnet, (64, 256, 512, 1024, 2048)),
    "vit_b_16": (Vit, _vit, (768,) * 14),
    "vgg16": (Convolutional, _vgg, (64, 128, 256, 512, 512, 4096, 4096)),
    "inception_v3": (Convolutional, _inception, (192, 256, 288, 288, 768, 768, 768, 768, 768, 1280, 2048, 2048)),
}
"""For each model: how it pools, how it is taken apart, and D after each stage."""

WITHOUT_SLOW_START = {"inception_v3": {"init_weights": False, "transform_input": True}}


def build(spec: BackboneSpec, weights: Path | None) -> Backbone:
    """Build from a torchvision state dict (read with weights_only), or with random weights.

    Raises `WeightsMismatch` for a file that is damaged, or whose names or shapes are not the model's.
    """
    name = spec.config["model"]
    kind, take_apart, dims = FAMILIES[name]
    # Numbers that a file replaces are not drawn: on "meta" a model has shapes only.
    with torch.device("cpu" if weights is None else "meta"):
        model = models.get_model(name, weights=None, **WITHOUT_SLOW_START.get(name, {}))
    if weights is not None:
        try:
            model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True), assign=True)
        except (RuntimeError, EOFError, TypeError, pickle.UnpicklingError) as error:
            reason = (str(error).strip() or "it ends too early").splitlines()[0].rstrip(".:")
            raise WeightsMismatch(
                f"'{weights}' does not hold the weights of '{spec.name}': {reason}.",
                f"Delete it, so that it is fetched again from {spec.weights.describe()}.",
            ) from error
    return kind(spec, take_apart(model), dims)
