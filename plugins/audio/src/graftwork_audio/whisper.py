"""The encoder of Whisper as stages (Radford et al. 2022, arXiv:2212.04356), on the layers of transformers' model.

It always reads as many seconds: a shorter clip is followed by silence, which attention sees, as in pretraining.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import WhisperFeatureExtractor, WhisperModel

from graftwork import Apply, Backbone, BackboneSpec, SequenceView, Stage, State, load_pretrained, masked_mean
from graftwork_audio.frames import framed


class Stem(Stage):
    """Log-mel frames `(B, bins, T)` to vectors `(B, T / 2, D)`, places added; the mask becomes `(B, T / 2)`."""

    def __init__(self, encoder: Any) -> None:
        super().__init__("stem")
        self.conv1, self.conv2 = encoder.conv1, encoder.conv2
        self.positions = encoder.embed_positions
        self.dropout = nn.Dropout(encoder.dropout)

    def forward(self, state: State) -> State:
        hidden = nn.functional.gelu(self.conv2(nn.functional.gelu(self.conv1(state.hidden))))
        mask = None if state.mask is None else state.mask[:, ::2]
        return State(self.dropout(hidden.transpose(1, 2) + self.positions.weight), mask)


class Block(Stage):
    """One transformer layer."""

    def __init__(self, name: str, layer: nn.Module) -> None:
        super().__init__(name)
        self.layer = layer

    def forward(self, state: State) -> State:
        return State(self.layer(state.hidden, None), state.mask)


class Whisper(Backbone):
    """pool: the mean over the frames that hold sound of the clip."""

    batch_size: ClassVar[int] = 16_000 * 30

    def __init__(self, spec: BackboneSpec, encoder: Any) -> None:
        blocks = [Block(f"block{number}", layer) for number, layer in enumerate(encoder.layers, start=1)]
        stages = [Stem(encoder), *blocks, Apply("norm", encoder.layer_norm)]
        super().__init__(spec, stages, [spec.feature_dim] * len(stages))
        said = spec.preparation
        self._rate = int(spec.contract.facts["sampling_rate"].nearest(0))
        self._frames = WhisperFeatureExtractor(
            feature_size=said["feature_size"],
            sampling_rate=self._rate,
            hop_length=said["hop_length"],
            chunk_length=said["chunk_length"],
            n_fft=said["n_fft"],
        )

    def prepare(self, values: list[Any]) -> State:
        """Clips to log-mel frames `(B, bins, T)` of `chunk_length` seconds, and which of them hold sound `(B, T)`.

        Raises `InputMismatch` for a clip that does not meet the contract.
        """
        waves = super().prepare(values)
        assert waves.mask is not None
        lengths = waves.mask.sum(1)
        rows = [np.asarray(wave[:length]) for wave, length in zip(waves.hidden, lengths, strict=True)]
        made = self._frames(rows, sampling_rate=self._rate, return_tensors="pt")["input_features"]
        real = -(-lengths // self.spec.preparation["hop_length"])
        return State(made, torch.arange(made.shape[2]) < real[:, None])

    def pool(self, state: State) -> Tensor:
        return masked_mean(state)

    def sequence(self, values: list[Any], batch: State, state: State) -> SequenceView:
        """A vector for each two log-mel frames `(B, T / 2, D)`; spans are seconds."""
        return framed(state, 2 * self.spec.preparation["hop_length"] / self._rate)


def build(spec: BackboneSpec, weights: Path | None) -> Whisper:
    """Load from a folder in hub layout; without weights, random ones of the shape in `spec.config`.

    Raises `WeightsMismatch` when the weights are not those of a Whisper model.
    """
    model: Any = load_pretrained(WhisperModel, weights, shape=spec.config)
    return Whisper(spec, model.encoder)
