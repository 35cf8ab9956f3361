"""wav2vec 2.0 (Baevski et al. 2020, arXiv:2006.11477) and its kin as stages, on the layers of transformers' models:
HuBERT (Hsu et al. 2021, arXiv:2106.07447) and WavLM (Chen et al. 2022, arXiv:2110.13900).

Padding changes nothing: statistics over time are taken per clip, padded frames are zero where a convolution
could see them, and attention does not reach them. LayerDrop and SpecAugment are left to those who pretrain.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import HubertModel, Wav2Vec2Model, WavLMModel

from graftwork import Apply, Backbone, BackboneSpec, SequenceView, Stage, State, load_pretrained, masked_mean
from graftwork_audio.frames import around, geometry

MODELS: dict[str, Any] = {"hubert": HubertModel, "wav2vec2": Wav2Vec2Model, "wavlm": WavLMModel}
"""By model type."""
UNUSED = ("masked_spec_embed",)
"""Marks masked frames in pretraining; no stage has it."""


class Stem(Stage):
    """Waveforms `(B, T)` to frames `(B, T', D)`: convolutions and projection; the mask becomes `(B, T')`.

    A mask must be True up to some length and False after it.
    """

    def __init__(self, model: Any) -> None:
        super().__init__("stem")
        self.convolutions = model.feature_extractor.conv_layers
        self.projection = model.feature_projection
        convolutions: Any = [layer.conv for layer in self.convolutions]
        self.step, self.seen = geometry((conv.kernel_size[0], conv.stride[0]) for conv in convolutions)

    def forward(self, state: State) -> State:
        hidden = state.hidden[:, None]
        lengths = None if state.mask is None else state.mask.sum(1)
        layer: Any
        for layer in self.convolutions:
            if lengths is None:
                hidden = layer(hidden)
                continue
            lengths = (lengths - layer.conv.kernel_size[0]) // layer.conv.stride[0] + 1
            if isinstance(getattr(layer, "layer_norm", None), nn.GroupNorm):
                hidden = layer.activation(norm_each(layer.layer_norm, layer.conv(hidden), lengths))
            else:
                hidden = layer(hidden)
        projected = self.projection(hidden.transpose(1, 2))
        hidden = projected[0] if isinstance(projected, tuple) else projected
        if lengths is None:
            return State(hidden)
        return State(hidden, torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None])


class Position(Stage):
    """Adds to each frame what a convolution over its neighbours says of its place."""

    def __init__(self, encoder: Any, norm: nn.Module) -> None:
        super().__init__("position")
        self.convolution = encoder.pos_conv_embed
        self.norm = norm
        self.dropout = encoder.dropout

    def forward(self, state: State) -> State:
        hidden = state.hidden
        if state.mask is not None:
            hidden = hidden.masked_fill(~state.mask[..., None], 0)
        return State(self.dropout(self.norm(hidden + self.convolution(hidden))), state.mask)


class Block(Stage):
    """One transformer layer; attention sees real frames only."""

    def __init__(self, name: str, layer: nn.Module) -> None:
        super().__init__(name)
        self.layer = layer

    def forward(self, state: State) -> State:
        return State(self.layer(state.hidden, attention_mask=state.attention_bias()), state.mask)


class RelativeBlock(Stage):
    """One layer of WavLM: how far frames are apart weighs on attention, by a table that the first layer owns.

    first: the attention of the first layer, which stays a part of that one's stage.
    """

    def __init__(self, name: str, layer: Any, first: Any) -> None:
        super().__init__(name)
        self.layer = layer
        self._first = (first,)  # in a tuple, so that it is no module of this stage too

    def forward(self, state: State) -> State:
        frames = state.hidden.shape[1]
        distance = self._first[0].compute_bias(frames, frames)
        distance = distance.repeat(state.hidden.shape[0], 1, 1)
        mask = None if state.mask is None else state.mask.long()
        with warnings.catch_warnings():  # torch's, of masks of two types, which are those of the library
            warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")
            hidden, _ = self.layer(state.hidden, attention_mask=mask, position_bias=distance)
        return State(hidden, state.mask)


class Wav2Vec2(Backbone):
    """pool: the mean over the real frames, after any stage."""

    batch_size: ClassVar[int] = 16_000 * 30

    def __init__(self, spec: BackboneSpec, model: Any) -> None:
        stages = cut(model, stable=spec.stages[-1] == "norm")
        super().__init__(spec, stages, [model.config.hidden_size] * len(stages), library=model)
        self._rate = int(spec.contract.facts["sampling_rate"].nearest(0))

    def pool(self, state: State) -> Tensor:
        return masked_mean(state)

    def sequence(self, values: list[Any], batch: State, state: State) -> SequenceView:
        """A vector for each frame `(B, T, D)`; spans are seconds."""
        stem: Any = self.stages()[0]
        return around(state, stem.step, stem.seen, self._rate)


def build(spec: BackboneSpec, weights: Path | None) -> Wav2Vec2:
    """Load from a folder in hub layout; without weights, random ones of the shape in `spec.config`, as a config.json
    says it.

    Raises `WeightsMismatch` when the weights are not this model's.
    """
    return Wav2Vec2(spec, load(spec, weights))


def load(spec: BackboneSpec, weights: Path | None) -> Any:
    """The model of transformers that `build` cuts into stages."""
    kind = MODELS[spec.config.get("model_type", "wav2vec2")]
    return load_pretrained(kind, weights, shape=spec.config, unused=UNUSED)


def cut(model: Any, *, stable: bool) -> list[Stage]:
    """A model's layers as stages. stable: whether there is a norm after the last, and none before the first."""
    encoder = model.encoder
    return [
        Stem(model),
        Position(encoder, nn.Identity() if stable else encoder.layer_norm),
        *(_block(f"block{i + 1}", layer, encoder.layers[0]) for i, layer in enumerate(encoder.layers)),
        *([Apply("norm", encoder.layer_norm)] if stable else []),
    ]


def _block(name: str, layer: Any, first: Any) -> Stage:
    relative = hasattr(first.attention, "rel_attn_embed")
    return RelativeBlock(name, layer, first.attention) if relative else Block(name, layer)


def norm_each(norm: nn.GroupNorm, hidden: Tensor, lengths: Tensor) -> Tensor:
    """`norm` over the first `lengths[b]` frames of each `(C, T)` in `(B, C, T)`; zeros after them.

    A batch-wide call would take the mean and variance of a channel over padding too.
    """
    real = torch.arange(hidden.shape[2], device=hidden.device) < lengths[:, None, None]
    count = lengths.clamp(min=1)[:, None, None] * (hidden.shape[1] // norm.num_groups)
    groups = (hidden.float() * real).unflatten(1, (norm.num_groups, -1))
    mean = (groups.sum((2, 3)) / count[:, 0]).unsqueeze(-1)[..., None]
    off = (groups - mean) * real[:, None]
    variance = (off.square().sum((2, 3)) / count[:, 0]).unsqueeze(-1)[..., None]
    normed = (off * (variance + norm.eps).rsqrt()).flatten(1, 2).to(hidden.dtype)
    return (normed * norm.weight[:, None] + norm.bias[:, None]) * real
