"""Image encoders of transformers as stages; those that are not mapped yet as one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import transformers
from torch import Tensor, nn

from graftwork import (
    Apply,
    Backbone,
    BackboneSpec,
    MapView,
    Stage,
    State,
    load_pretrained,
    map_of_tokens,
    map_view,
    masked_mean,
    spatial_mean,
)
from graftwork_image.families import MAPPED, WHOLE


class ClassToken(Backbone):
    """pool: the class token."""

    def pool(self, state: State) -> Tensor:
        return state.hidden[:, 0].float()

    def map(self, batch: State, state: State) -> MapView:
        return map_of_tokens(state.hidden, batch.hidden)


class Map(Backbone):
    """pool: the mean over positions of a map; vectors as they are."""

    channels_last = True

    def pool(self, state: State) -> Tensor:
        return spatial_mean(state)

    def map(self, batch: State, state: State) -> MapView:
        return map_view(state.hidden, batch.hidden)


class Tokens(Backbone):
    """pool: the mean over tokens."""

    def pool(self, state: State) -> Tensor:
        return masked_mean(state)

    def map(self, batch: State, state: State) -> MapView:
        return map_of_tokens(state.hidden, batch.hidden)


class Patches(Stage):
    """Pixels `(B, 3, H, W)` to tokens `(B, T, D)`, positions added."""

    def __init__(self, embeddings: nn.Module) -> None:
        super().__init__("embeddings")
        self.embeddings = embeddings

    def forward(self, state: State) -> State:
        made = self.embeddings(state.hidden)
        return State(made[0] if isinstance(made, tuple) else made)


class Windows(Stage):
    """Tokens of a square `(B, T, D)` to those of the next: a stage of Swin and the merging after it."""

    def __init__(self, name: str, layer: nn.Module) -> None:
        super().__init__(name)
        self.layer = layer

    def forward(self, state: State) -> State:
        side = math.isqrt(state.hidden.shape[1])
        return State(self.layer(state.hidden, (side, side))[0])


class MeanNorm(Stage):
    """A map `(B, C, H, W)` to the normalised mean over its positions, `(B, C)`."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__("norm")
        self.norm = norm

    def forward(self, state: State) -> State:
        return State(self.norm(state.hidden.mean((-2, -1))))


class Whole(Stage):
    """Pixels `(B, 3, H, W)` to what the whole model makes of them: tokens `(B, T, D)` or a map `(B, C, H, W)`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__("model")
        self.model = model

    def forward(self, state: State) -> State:
        return State(self.model(state.hidden).last_hidden_state)


def _vit(model: Any) -> tuple[Sequence[Stage], list[int]]:
    layers = model.encoder.layer if hasattr(model, "encoder") else model.layers
    blocks = [Apply(f"block{i + 1}", layer) for i, layer in enumerate(layers)]
    stages = [Patches(model.embeddings), *blocks, Apply("norm", model.layernorm)]
    return stages, [model.config.hidden_size] * len(stages)


def _resnet(model: Any) -> tuple[Sequence[Stage], list[int]]:
    stages = [Apply(f"stage{i + 1}", stage) for i, stage in enumerate(model.encoder.stages)]
    return [Apply("stem", model.embedder), *stages], [model.config.embedding_size, *model.config.hidden_sizes]


def _convnext(model: Any) -> tuple[Sequence[Stage], list[int]]:
    stages = [Apply(f"stage{i + 1}", stage) for i, stage in enumerate(model.encoder.stages)]
    sizes = model.config.hidden_sizes
    return [Apply("stem", model.embeddings), *stages, MeanNorm(model.layernorm)], [sizes[0], *sizes, sizes[-1]]


def _swin(model: Any) -> tuple[Sequence[Stage], list[int]]:
    layers = model.encoder.layers
    stages = [Windows(f"stage{i + 1}", layer) for i, layer in enumerate(layers)]
    sizes = [model.config.embed_dim * 2 ** min(i, len(layers) - 1) for i in range(len(layers) + 1)]
    return [Patches(model.embeddings), *stages, Apply("norm", model.layernorm)], [*sizes, sizes[-1]]


TAKE_APART: dict[str, tuple[type[Backbone], Any, dict[str, bool]]] = {
    "convnext": (Map, _convnext, {}),
    "deit": (ClassToken, _vit, {"add_pooling_layer": False}),
    "dinov2": (ClassToken, _vit, {}),
    "resnet": (Map, _resnet, {}),
    "swin": (Tokens, _swin, {"add_pooling_layer": False}),
    "vit": (ClassToken, _vit, {"add_pooling_layer": False}),
}
"""For each model type: what it is as a backbone, how it is taken apart, and what its class is built with."""

POOLED = {"first": ClassToken, "map": Map, "mean": Tokens}


def build(spec: BackboneSpec, weights: Path | None) -> Backbone:
    """Load from a folder in hub layout; without weights, random ones of the shape in `spec.config`.

    Raises `WeightsMismatch` when the weights are not those of such a model.
    """
    kind = spec.config["model_type"]
    made, take_apart, options = TAKE_APART[kind]
    library = getattr(transformers, MAPPED[kind].model)
    model: Any = load_pretrained(library, weights, shape=spec.config, unused=UNUSED, **options)
    _without_pretraining(model)
    stages, dims = take_apart(model)
    return made(spec, stages, dims, library=model)


def build_whole(spec: BackboneSpec, weights: Path | None) -> Backbone:
    """The same of a type that is not mapped, as one stage."""
    name, pooling, _ = WHOLE[spec.config["model_type"]]
    model: Any = load_pretrained(getattr(transformers, name), weights, shape=spec.config, unused=UNUSED)
    _without_pretraining(model)
    if pooling != "map":
        model.pooler = None  # it is trained for another task, or never was
    return POOLED[pooling](spec, [Whole(model)], [spec.feature_dim], library=model)


def _without_pretraining(model: Any) -> None:
    """Take away what marks hidden patches in pretraining."""
    if getattr(getattr(model, "embeddings", None), "mask_token", None) is not None:
        model.embeddings.mask_token = None


UNUSED = (
    "embeddings.mask_token",
    "pooler.dense.weight",
    "pooler.dense.bias",
    "pooler.layernorm.weight",
    "pooler.layernorm.bias",
)
"""Parameters that no stage takes, which a file may lack."""
