"""wav2vec 2.0 as stages (Baevski et al. 2020, arXiv:2006.11477), on the layers of transformers' Wav2Vec2Model.

Padding changes nothing: statistics over time are taken per clip, padded frames are zero where a convolution
could see them, and attention does not reach them. LayerDrop and SpecAugment are left to those who pretrain.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2Model
from transformers.utils import logging

from graftwork import (
    Apply,
    Backbone,
    BackboneSpec,
    Stage,
    State,
    WeightsMismatch,
    WeightsUnavailable,
    masked_mean,
)


class Stem(Stage):
    """Waveforms `(B, T)` to frames `(B, T', D)`: convolutions and projection; the mask becomes `(B, T')`.

    A mask must be True up to some length and False after it.
    """

    def __init__(self, model: Wav2Vec2Model) -> None:
        super().__init__("stem")
        self.convolutions = model.feature_extractor.conv_layers
        self.projection = model.feature_projection

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
        hidden, _ = self.projection(hidden.transpose(1, 2))
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


class Wav2Vec2(Backbone):
    """pool: the mean over the real frames, after any stage."""

    batch_size: ClassVar[int] = 16_000 * 30

    def __init__(self, spec: BackboneSpec, model: Wav2Vec2Model) -> None:
        encoder, stable = model.encoder, model.config.do_stable_layer_norm
        stages = [
            Stem(model),
            Position(encoder, nn.Identity() if stable else encoder.layer_norm),
            *(Block(f"block{number}", layer) for number, layer in enumerate(encoder.layers, start=1)),
            *([Apply("norm", encoder.layer_norm)] if stable else []),
        ]
        super().__init__(spec, stages, [model.config.hidden_size] * len(stages))

    def pool(self, state: State) -> Tensor:
        return masked_mean(state)


def build(spec: BackboneSpec, weights: Path | None) -> Wav2Vec2:
    """Load from a folder in hub layout; without weights, random ones of the shape in `spec.config`.

    `spec.config` holds fields of Wav2Vec2Config, or the `folder` whose config.json has them.

    Raises `WeightsUnavailable` when the folder holds no weights, `WeightsMismatch` when they are not this model's.
    """
    with _quiet():
        if weights is not None:
            return Wav2Vec2(spec, _load(spec, weights))
        fields: dict[str, Any] = dict(spec.config)
        folder = fields.pop("folder", None)
        config = Wav2Vec2Config.from_pretrained(folder, **fields) if folder else Wav2Vec2Config(**fields)
        return Wav2Vec2(spec, Wav2Vec2Model(config))


def norm_each(norm: nn.GroupNorm, hidden: Tensor, lengths: Tensor) -> Tensor:
    """`norm` over the first `lengths[b]` frames of each `(C, T)` in `(B, C, T)`; zeros after them.

    A batch-wide call would take the mean and variance of a channel over padding too.
    """
    total = hidden.shape[2]
    rows = [
        nn.functional.pad(norm(hidden[row : row + 1, :, :length]), (0, total - length))
        for row, length in enumerate(lengths.tolist())
    ]
    return torch.cat(rows)


def _load(spec: BackboneSpec, folder: Path) -> Wav2Vec2Model:
    safe = any(folder.glob("*.safetensors"))
    if not safe and not any(folder.glob("pytorch_model*.bin")):
        raise WeightsUnavailable(
            f"Backbone '{spec.name}' wants model.safetensors or pytorch_model.bin, and '{folder}' holds neither.",
            spec.weights.remedy(),
        )
    load: Any = Wav2Vec2Model.from_pretrained
    try:
        # A .bin is opened by transformers with weights_only=True: tensors, no code.
        model, report = load(
            folder,
            local_files_only=True,
            use_safetensors=safe,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # every file format raises its own family
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise WeightsMismatch(
            f"The weights in '{folder}' cannot be loaded as a wav2vec 2.0 model: {reason}.", "Save or fetch them again."
        ) from error
    # It marks masked frames in pretraining, and no stage has it.
    missing = sorted(set(report["missing_keys"]) - {"masked_spec_embed"})
    if missing:
        raise WeightsMismatch(
            f"The weights in '{folder}' lack {len(missing)} tensors of a wav2vec 2.0 model (first: {missing[0]}).",
            "Save or fetch them again.",
        )
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's progress bars and its report of unused pretraining heads off the terminal."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
