"""timm's models taken apart: for each class that is mapped its layers as stages, for any other the whole as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from timm.models import ConvNeXt, EfficientNet, RegNet, ResNet, SwinTransformer, VisionTransformer
from torch import Tensor, nn

from graftwork import Apply, Backbone, MapView, Stage, State, map_of_tokens, map_view, masked_mean, spatial_mean


class Encoder(Backbone):
    """pool: the mean over positions of a map `(B, C, H, W)` or over tokens `(B, T, D)`; vectors as they are."""

    def pool(self, state: State) -> Tensor:
        return masked_mean(state) if state.hidden.ndim == 3 else spatial_mean(state)

    def map(self, batch: State, state: State) -> MapView:
        view = map_of_tokens if state.hidden.ndim == 3 else map_view
        return view(state.hidden, batch.hidden)


class Convolutional(Encoder):
    """The same, of convolutions."""

    channels_last = True


class Windowed(Encoder):
    """pool: the mean over positions of a map `(B, H, W, C)`; vectors as they are."""

    def pool(self, state: State) -> Tensor:
        return state.hidden.float().flatten(1, -2).mean(1) if state.hidden.ndim == 4 else state.hidden.float()

    def map(self, batch: State, state: State) -> MapView:
        return map_view(state.hidden.permute(0, 3, 1, 2) if state.hidden.ndim == 4 else state.hidden, batch.hidden)


class Patches(Stage):
    """Pixels `(B, 3, H, W)` to tokens `(B, T, D)`, class token and positions added."""

    def __init__(self, model: Any) -> None:
        super().__init__("stem")
        self.parts = nn.ModuleList([model.patch_embed, model.pos_drop, model.patch_drop, model.norm_pre])
        self.tensors = nn.ParameterList(p for p in (model.cls_token, model.reg_token, model.pos_embed) if p is not None)
        self._model = (model,)  # in a tuple, so that its other layers are no part of this stage

    def forward(self, state: State) -> State:
        (model,) = self._model
        tokens = model._pos_embed(model.patch_embed(state.hidden))
        return State(model.norm_pre(model.patch_drop(tokens)))


class Head(Stage):
    """What the model makes a vector `(B, D)` with, before its classifier."""

    def __init__(self, model: Any, *owned: str) -> None:
        super().__init__("head")
        self.parts = nn.ModuleList(part for name in owned if isinstance(part := getattr(model, name, None), nn.Module))
        self._model = (model,)

    def forward(self, state: State) -> State:
        return State(self._model[0].forward_head(state.hidden, pre_logits=True))


class Whole(Stage):
    """Pixels `(B, 3, H, W)` to a vector `(B, D)`."""

    def __init__(self, model: Any) -> None:
        super().__init__("model")
        self.model = model

    def forward(self, state: State) -> State:
        return State(self.model.forward_head(self.model.forward_features(state.hidden), pre_logits=True))


def _numbered(parts: Iterable[nn.Module], noun: str) -> list[Stage]:
    return [Apply(f"{noun}{i + 1}", part) for i, part in enumerate(parts)]


def _resnet(model: Any) -> Sequence[Stage]:
    stem = Apply("stem", model.conv1, model.bn1, model.act1, model.maxpool)
    return [stem, *(Apply(name, getattr(model, name)) for name in ("layer1", "layer2", "layer3", "layer4"))]


def _convnext(model: Any) -> Sequence[Stage]:
    return [Apply("stem", model.stem), *_numbered(model.stages, "stage"), Head(model, "norm_pre", "head")]


def _efficientnet(model: Any) -> Sequence[Stage]:
    stages = _numbered(model.blocks, "stage")
    return [Apply("stem", model.conv_stem, model.bn1), *stages, Apply("head", model.conv_head, model.bn2)]


def _regnet(model: Any) -> Sequence[Stage]:
    stages = [Apply(name, getattr(model, name)) for name in ("s1", "s2", "s3", "s4")]
    return [Apply("stem", model.stem), *stages, Apply("head", model.final_conv)]


def _swin(model: Any) -> Sequence[Stage]:
    return [Apply("stem", model.patch_embed), *_numbered(model.layers, "stage"), Apply("norm", model.norm)]


def _vit(model: Any) -> Sequence[Stage]:
    blocks = _numbered(model.blocks, "block")
    return [Patches(model), *blocks, Apply("norm", model.norm), Head(model, "attn_pool", "fc_norm")]


TAKE_APART: dict[type[nn.Module], tuple[type[Backbone], Callable[[Any], Sequence[Stage]]]] = {
    ConvNeXt: (Convolutional, _convnext),
    EfficientNet: (Convolutional, _efficientnet),
    RegNet: (Convolutional, _regnet),
    ResNet: (Convolutional, _resnet),
    SwinTransformer: (Windowed, _swin),
    VisionTransformer: (Encoder, _vit),
}
"""For each class that is mapped: what it is as a backbone, and how it is taken apart."""


def taken_apart(model: Any) -> tuple[type[Backbone], Sequence[Stage]]:
    """The stages of a model without a classifier, and what it is as a backbone; of a class that is not mapped, one."""
    if type(model) not in TAKE_APART:
        return Encoder, [Whole(model)]
    kind, take_apart = TAKE_APART[type(model)]
    return kind, take_apart(model)
