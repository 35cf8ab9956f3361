"""A real speech encoder to measure with: Moonshine's, from a folder of weights that is not in this repository.

Written as a plugin of one file, as anyone's would be. `here()` says whether the weights are.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import MoonshineConfig, MoonshineModel

from graftwork import (
    API_VERSION,
    Apply,
    Backbone,
    BackboneSpec,
    FolderWeights,
    Recipe,
    Stage,
    State,
    hookimpl,
    masked_mean,
)  # fmt: skip

api_version = API_VERSION
FOLDER = Path(__file__).resolve().parents[3] / "shared" / "weights" / "moonshine-tiny-encoder"
STEM = ((127, 64), (7, 3), (3, 2))


def here() -> bool:
    """Whether the weights are at hand; then the encoder is registered as audio/moonshine-tiny."""
    from graftwork.plugins import loading

    if FOLDER.is_dir():
        loading.installed().load(sys.modules[__name__], loading.PluginReport("moonshine", "bench", "0"))
    return FOLDER.is_dir()


@hookimpl
def graftwork_backbones():
    from graftwork_audio.plugin import reads

    yield BackboneSpec(
        name="audio/moonshine-tiny",
        contract=reads(16_000, 0.1, normalize=False),
        factory=f"{__name__}:build",
        weights=FolderWeights(FOLDER, size_bytes=15_369_040),
        stages=("stem", *(f"block{number}" for number in range(1, 7)), "norm"),
        feature_dim=288,
        parameters=7_682_400,
        license="MIT",
        source="Useful Sensors, Moonshine tiny, the encoder",
        pretrained_on="200 000 hours of English speech with transcripts",
        recipe=Recipe(learning_rate=1e-4, batch_size=32, epochs=5, source="measured here on a validation part"),
    )


class Stem(Stage):
    """Waveforms `(B, T)` to frames `(B, T', 288)`, each clip normed over its own frames."""

    def __init__(self, encoder: Any) -> None:
        super().__init__("stem")
        self.convolutions = nn.ModuleList([encoder.conv1, encoder.conv2, encoder.conv3])
        self.norm = encoder.groupnorm

    def forward(self, state: State) -> State:
        from graftwork_audio.wav2vec2 import norm_each

        first, second, third = self.convolutions
        mask = torch.ones(state.hidden.shape, dtype=torch.bool) if state.mask is None else state.mask
        lengths = (mask.sum(1) - STEM[0][0]) // STEM[0][1] + 1
        hidden = norm_each(self.norm, torch.tanh(first(state.hidden[:, None])), lengths)
        hidden = nn.functional.gelu(third(nn.functional.gelu(second(hidden)))).transpose(1, 2)
        for kernel, stride in STEM[1:]:
            lengths = (lengths - kernel) // stride + 1
        real = torch.arange(hidden.shape[1]) < lengths[:, None]
        return State(hidden, None if bool(real.all()) else real)


class Block(Stage):
    def __init__(self, name: str, layer: nn.Module, rotary: nn.Module) -> None:
        super().__init__(name)
        self.layer = layer
        self.rotary = rotary

    def forward(self, state: State) -> State:
        places = torch.arange(state.hidden.shape[1])[None]
        angles = self.rotary(state.hidden, position_ids=places)
        hidden = self.layer(state.hidden, state.attention_bias(), places, position_embeddings=angles)
        return State(hidden, state.mask)


class Moonshine(Backbone):
    batch_size = 16_000 * 30

    def pool(self, state: State) -> Tensor:
        return masked_mean(state)


def build(spec: BackboneSpec, weights: Path | None) -> Moonshine:
    encoder: Any = MoonshineModel(MoonshineConfig.from_pretrained(FOLDER)).get_encoder().float()
    if weights is not None:
        found = load_file(weights / "encoder_only_fp16.safetensors")
        encoder.load_state_dict({name: tensor.float() for name, tensor in found.items()})
    blocks = [Block(f"block{i}", layer, encoder.rotary_emb) for i, layer in enumerate(encoder.layers, start=1)]
    return Moonshine(spec, [Stem(encoder), *blocks, Apply("norm", encoder.layer_norm)], [288] * 8)
