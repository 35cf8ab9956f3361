"""Encoders of waveforms whose layers are not mapped to stages yet: transformers' own model as one.

Clips go through it one by one, since in some of these models what pads a batch changes all of its examples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
import transformers
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from graftwork import Backbone, BackboneSpec, Stage, State, load_pretrained, masked_mean
from graftwork_audio.families import WHOLE


class Whole(Stage):
    """Waveforms `(B, T)` to frames `(B, T', D)`, with their mask."""

    def __init__(self, model: Any) -> None:
        super().__init__("model")
        self.model = model

    def forward(self, state: State) -> State:
        lengths = [state.hidden.shape[1]] * len(state.hidden) if state.mask is None else state.mask.sum(1).tolist()
        rows = [
            self.model(wave[None, :length]).last_hidden_state[0]
            for wave, length in zip(state.hidden, lengths, strict=True)
        ]
        frames = torch.tensor([len(row) for row in rows], device=state.hidden.device)
        hidden = pad_sequence(rows, batch_first=True)
        return State(hidden, torch.arange(hidden.shape[1], device=hidden.device) < frames[:, None])


class WholeEncoder(Backbone):
    """pool: the mean over the real frames."""

    batch_size: ClassVar[int] = 16_000 * 30

    def pool(self, state: State) -> Tensor:
        return masked_mean(state)


def build(spec: BackboneSpec, weights: Path | None) -> WholeEncoder:
    """Load from a folder in hub layout; without weights, random ones of the shape in `spec.config`.

    Raises `WeightsMismatch` when the weights are not those of such a model.
    """
    kind = getattr(transformers, WHOLE[spec.config["model_type"]])
    model: Any = load_pretrained(kind, weights, shape=spec.config, unused=("masked_spec_embed",))
    model.config.apply_spec_augment, model.config.layerdrop = False, 0.0  # left to those who pretrain
    model.masked_spec_embed = None
    return WholeEncoder(spec, [Whole(model)], [spec.feature_dim])
