"""Torchvision's classifiers taken apart: for each class of model, its layers as stages without the ImageNet head."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from graftwork import Apply, Backbone, MapView, Stage, State, map_of_tokens, map_view, spatial_mean


class Convolutional(Backbone):
    """pool: the mean over positions of a map; vectors (fully connected stages, a last norm) as they are."""

    channels_last = True
    replayable = True

    def pool(self, state: State) -> Tensor:
        return spatial_mean(state)

    def map(self, batch: State, state: State) -> MapView:
        return map_view(state.hidden, batch.hidden)


class Windowed(Backbone):
    """pool: the mean over positions of a map `(B, H, W, C)`."""

    def pool(self, state: State) -> Tensor:
        return state.hidden.float().flatten(1, 2).mean(1)

    def map(self, batch: State, state: State) -> MapView:
        return map_view(state.hidden.permute(0, 3, 1, 2), batch.hidden)


class Vit(Backbone):
    """pool: the class token, as the classifier reads it."""

    replayable = True

    def pool(self, state: State) -> Tensor:
        return state.hidden[:, 0].float()

    def map(self, batch: State, state: State) -> MapView:
        return map_of_tokens(state.hidden, batch.hidden)


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
        tokens = torch.cat([self.class_token.expand(patches.shape[0], -1, -1), patches], 1)
        return State(self.dropout(tokens + self.positions))


class Renormalise(nn.Module):
    """ImageNet's mean and deviation to Inception's own, 0.5 and 0.5 (torchvision's transform_input)."""

    def forward(self, pixels: Tensor) -> Tensor:
        mean = torch.tensor((0.485, 0.456, 0.406), dtype=pixels.dtype, device=pixels.device).view(1, 3, 1, 1)
        std = torch.tensor((0.229, 0.224, 0.225), dtype=pixels.dtype, device=pixels.device).view(1, 3, 1, 1)
        return (pixels * std + mean - 0.5) / 0.5


def _numbered(parts: Iterable[nn.Module], noun: str = "block") -> list[Stage]:
    return [Apply(f"{noun}{i + 1}", part) for i, part in enumerate(parts)]


def _between_pools(features: nn.Module) -> list[Stage]:
    """A stage for the layers up to each max pooling, and one for those after the last."""
    stages, block = [], []
    for layer in features.children():
        block.append(layer)
        if isinstance(layer, nn.MaxPool2d):
            stages.append(Apply(f"block{len(stages) + 1}", *block))
            block = []
    return [*stages, Apply(f"block{len(stages) + 1}", *block)] if block else stages


def _resnet(model: models.ResNet) -> Sequence[Stage]:
    stem = Apply("stem", model.conv1, model.bn1, model.relu, model.maxpool)
    return [stem, *(Apply(name, getattr(model, name)) for name in ("layer1", "layer2", "layer3", "layer4"))]


def _vit(model: models.VisionTransformer) -> Sequence[Stage]:
    return [Patches(model), *_numbered(model.encoder.layers), Apply("norm", model.encoder.ln)]


def _vgg(model: models.VGG) -> Sequence[Stage]:
    layers = list(model.classifier)
    fully = [Apply("fc6", model.avgpool, nn.Flatten(), *layers[:3]), Apply("fc7", *layers[3:6])]
    return [*_between_pools(model.features), *fully]


def _alexnet(model: models.AlexNet) -> Sequence[Stage]:
    layers = list(model.classifier)
    fully = [Apply("fc6", model.avgpool, nn.Flatten(), *layers[:3]), Apply("fc7", *layers[3:6])]
    return [*_between_pools(model.features), *fully]


def _squeezenet(model: models.SqueezeNet) -> Sequence[Stage]:
    return _between_pools(model.features)


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


def _googlenet(model: models.GoogLeNet) -> Sequence[Stage]:
    stem = Apply("stem", Renormalise(), model.conv1, model.maxpool1, model.conv2, model.conv3, model.maxpool2)
    groups = [[model.inception3a, model.inception3b, model.maxpool3]]
    groups += [[*(getattr(model, f"inception4{part}") for part in "abcde"), model.maxpool4]]
    groups += [[model.inception5a, model.inception5b]]
    return [stem, *(Apply(f"inception{i + 3}", *group) for i, group in enumerate(groups))]


def _densenet(model: models.DenseNet) -> Sequence[Stage]:
    parts: Any = model.features
    stem = Apply("stem", parts.conv0, parts.norm0, parts.relu0, parts.pool0)
    ends = [parts.transition1, parts.transition2, parts.transition3, nn.Sequential(parts.norm5, nn.ReLU())]
    return [stem, *(Apply(f"block{i + 1}", getattr(parts, f"denseblock{i + 1}"), end) for i, end in enumerate(ends))]


def _efficientnet(model: models.EfficientNet) -> Sequence[Stage]:
    stem, *stages, head = model.features
    return [Apply("stem", stem), *_numbered(stages, "stage"), Apply("head", head)]


def _mobilenet_v2(model: models.MobileNetV2) -> Sequence[Stage]:
    stem, *blocks, head = model.features
    return [Apply("stem", stem), *_numbered(blocks), Apply("head", head)]


def _mobilenet_v3(model: models.MobileNetV3) -> Sequence[Stage]:
    fully = Apply("fc", model.avgpool, nn.Flatten(), *list(model.classifier)[:2])
    return [*_mobilenet_v2(model), fully]  # pyright: ignore[reportArgumentType]  # which has such features too


def _mnasnet(model: models.MNASNet) -> Sequence[Stage]:
    layers = list(model.layers)  # 8 of the stem, then stacks, then 3 of the head
    return [Apply("stem", *layers[:8]), *_numbered(layers[8:-3], "stage"), Apply("head", *layers[-3:])]


def _shufflenet(model: models.ShuffleNetV2) -> Sequence[Stage]:
    stages = [Apply(name, getattr(model, name)) for name in ("stage2", "stage3", "stage4")]
    return [Apply("stem", model.conv1, model.maxpool), *stages, Apply("head", model.conv5)]


def _regnet(model: models.RegNet) -> Sequence[Stage]:
    return [Apply("stem", model.stem), *_numbered(model.trunk_output)]


def _with_downsampling(features: nn.Sequential) -> list[Stage]:
    """Stem and first stage, then each stage with what makes the map smaller before it."""
    stem, first, *rest = features
    pairs = zip(rest[::2], rest[1::2], strict=True)
    later = [Apply(f"stage{i + 2}", smaller, stage) for i, (smaller, stage) in enumerate(pairs)]
    return [Apply("stem", stem), Apply("stage1", first), *later]


def _convnext(model: models.ConvNeXt) -> Sequence[Stage]:
    return [*_with_downsampling(model.features), Apply("norm", model.avgpool, model.classifier[0], nn.Flatten())]


def _swin(model: models.SwinTransformer) -> Sequence[Stage]:
    return [*_with_downsampling(model.features), Apply("norm", model.norm)]


def _maxvit(model: models.MaxVit) -> Sequence[Stage]:
    return [Apply("stem", model.stem), *_numbered(model.blocks), Apply("fc", *list(model.classifier)[:5])]


TAKE_APART: dict[type[nn.Module], tuple[type[Backbone], Callable[[Any], Sequence[Stage]]]] = {
    models.AlexNet: (Convolutional, _alexnet),
    models.ConvNeXt: (Convolutional, _convnext),
    models.DenseNet: (Convolutional, _densenet),
    models.EfficientNet: (Convolutional, _efficientnet),
    models.GoogLeNet: (Convolutional, _googlenet),
    models.Inception3: (Convolutional, _inception),
    models.MNASNet: (Convolutional, _mnasnet),
    models.MaxVit: (Convolutional, _maxvit),
    models.MobileNetV2: (Convolutional, _mobilenet_v2),
    models.MobileNetV3: (Convolutional, _mobilenet_v3),
    models.RegNet: (Convolutional, _regnet),
    models.ResNet: (Convolutional, _resnet),
    models.ShuffleNetV2: (Convolutional, _shufflenet),
    models.SqueezeNet: (Convolutional, _squeezenet),
    models.SwinTransformer: (Windowed, _swin),
    models.VGG: (Convolutional, _vgg),
    models.VisionTransformer: (Vit, _vit),
}
"""For each class of model: what it is as a backbone, and how it is taken apart."""

WITH_STRIDES = frozenset(TAKE_APART) - {models.AlexNet, models.GoogLeNet, models.Inception3, models.SqueezeNet}
"""The classes whose maps have strides in whole pixels; convolutions of the others cut edges off."""
