"""Tiny wav2vec 2.0 encoders built from a config, and sound made of sines and noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from graftwork import Backbone, BackboneSpec, Within, load_backbone
from graftwork.plugins import registry
from graftwork_audio.clip import Clip
from graftwork_audio.resolve import stages

# A frame sees 30 samples and moves by 20: the real encoders' 400 and 320, made small.
TINY: Mapping[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8, 12, 12),
    "conv_kernel": (10, 3, 2),
    "conv_stride": (5, 2, 2),
    "num_conv_pos_embeddings": 6,
    "num_conv_pos_embedding_groups": 2,
}
KINDS: Mapping[str, Mapping[str, Any]] = {
    "group": {"feat_extract_norm": "group"},
    "group-stable": {"feat_extract_norm": "group", "do_stable_layer_norm": True, "num_conv_pos_embeddings": 5},
    "layer": {"feat_extract_norm": "layer", "conv_bias": True},
    "layer-stable": {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "mask_time_prob": 0.0},
}


def shake(model: torch.nn.Module) -> None:
    """Norms start as the identity; moved off it, they show where one is skipped or applied twice."""
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each combination of norms that the library knows."""
    return request.param


@pytest.fixture(scope="session")
def fields() -> Callable[[str], dict[str, Any]]:
    """`fields(kind)`: what Wav2Vec2Config takes for a tiny model."""
    return lambda kind: {**TINY, **KINDS[kind]}


@pytest.fixture(scope="session")
def clip() -> Callable[..., Clip]:
    """`clip(frames, rate, channels, seed)`: noise around a sine, within -1 to 1."""

    def make(frames: int, rate: int = 16_000, channels: int = 1, seed: int = 0) -> Clip:
        noise = np.random.default_rng(seed).uniform(-0.5, 0.5, (channels, frames))
        sine = 0.4 * np.sin(2 * np.pi * 440 * np.arange(frames) / rate)
        return Clip((noise + sine).astype(np.float32), rate)

    return make


@pytest.fixture(scope="session")
def tiny_spec() -> Callable[[str], BackboneSpec]:
    """`tiny_spec(kind)`: the declared wav2vec2-base, made small; it takes clips of 2 ms."""

    def make(kind: str) -> BackboneSpec:
        base = registry.backbone("audio/wav2vec2-base")
        shape = {**TINY, **KINDS[kind]}
        return dataclasses.replace(
            base,
            name=f"audio/tiny-{kind}",
            contract=dataclasses.replace(
                base.contract, facts={**base.contract.facts, "duration": Within(0.002, 15.625, "s")}
            ),
            stages=stages(2, stable=shape.get("do_stable_layer_norm", False)),
            feature_dim=16,
            config=shape,
        )

    return make


@pytest.fixture(scope="session")
def tiny(tiny_spec: Callable[[str], BackboneSpec]) -> Callable[[str], Backbone]:
    """`tiny(kind)`: a random encoder in evaluation mode, the same one every time."""
    built: dict[str, Backbone] = {}

    def make(kind: str) -> Backbone:
        if kind not in built:
            torch.manual_seed(0)
            built[kind] = load_backbone(tiny_spec(kind), pretrained=False)
            shake(built[kind])
        return built[kind]

    return make


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """`saved(kind, **preprocessor)`: a folder in hub layout with a tiny model and its feature extractor."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    def save(kind: str, **preprocessor: Any) -> Path:
        folder = tmp_path / "model"
        torch.manual_seed(1)
        model = Wav2Vec2Model(Wav2Vec2Config(**{**TINY, **KINDS[kind]}))
        shake(model)
        model.save_pretrained(folder)
        Wav2Vec2FeatureExtractor(**preprocessor).save_pretrained(folder)
        return folder

    return save


@pytest.fixture
def sine(tmp_path: Path) -> Callable[..., Path]:
    """`sine(name, rate, channels, seconds, hertz)`: a file that holds one."""

    def write(name: str, rate: int = 16_000, channels: int = 1, seconds: float = 0.5, hertz: float = 440) -> Path:
        wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.repeat(wave[:, None], channels, axis=1), rate)
        return path

    return write
