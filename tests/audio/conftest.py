"""Tiny wav2vec 2.0 encoders built from a config, and clips made of sines and noise."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

os.environ["HF_HUB_OFFLINE"] = os.environ["GRAFTWORK_OFFLINE"] = "1"

# One frame sees 40 samples and moves by 20: the real encoders' 400 and 320, made small.
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
    "group-stable": {"feat_extract_norm": "group", "do_stable_layer_norm": True},
    "layer": {"feat_extract_norm": "layer", "conv_bias": True},
    "layer-stable": {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "num_conv_pos_embeddings": 5},
}
SHORTEST = 30
"""Samples that one frame of a tiny encoder sees."""


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Any]:
    """`make_clip(frames, rate, channels, seed)`: noise around a sine, within -1 to 1."""
    from graftwork_audio.clip import Clip

    def make(frames: int, rate: int = 16_000, channels: int = 1, seed: int = 0) -> Clip:
        noise = np.random.default_rng(seed).uniform(-0.5, 0.5, (channels, frames))
        tone = 0.4 * np.sin(2 * np.pi * 440 * np.arange(frames) / rate)
        return Clip((noise + tone).astype(np.float32), rate)

    return make


@pytest.fixture(scope="session")
def tiny_spec() -> Callable[[str], Any]:
    """`tiny_spec(kind)`: the declared wav2vec2-base, made small; kinds are those of `KINDS`."""
    from graftwork import AtLeast, InputContract, registry
    from graftwork_audio.resolve import stages

    def make(kind: str) -> Any:
        base = registry.backbone("audio/wav2vec2-base")
        fields = {**TINY, **KINDS[kind]}
        return dataclasses.replace(
            base,
            name=f"audio/tiny-{kind}",
            contract=InputContract(
                "audio", {**base.contract.facts, "duration": AtLeast(SHORTEST / 16_000 // 0.001 / 1000, "s")}
            ),
            stages=stages(2, stable=fields.get("do_stable_layer_norm", False)),
            feature_dim=16,
            config=fields,
        )

    return make


@pytest.fixture(scope="session")
def tiny(tiny_spec: Callable[[str], Any]) -> Callable[[str], Any]:
    """`tiny(kind)`: a random encoder in evaluation mode, the same one every time."""
    import torch

    from graftwork import load_backbone

    built: dict[str, Any] = {}

    def make(kind: str) -> Any:
        if kind not in built:
            torch.manual_seed(0)
            backbone = load_backbone(tiny_spec(kind), pretrained=False)
            # Norms start as the identity; shaken, they show where one is skipped or applied twice.
            for parameter in backbone.parameters():
                parameter.data += 0.1 * torch.randn_like(parameter)
            built[kind] = backbone
        return built[kind]

    return make


@pytest.fixture
def saved_model(tmp_path: Path) -> Callable[..., Path]:
    """`saved_model(kind, folder="model", **preprocessor)`: a tiny model and its feature extractor in hub layout."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model
    from transformers.utils import logging

    def save(kind: str, **preprocessor: Any) -> Path:
        folder = tmp_path / "model"
        torch.manual_seed(1)
        logging.disable_progress_bar()
        Wav2Vec2Model(Wav2Vec2Config(**{**TINY, **KINDS[kind]})).save_pretrained(folder)
        Wav2Vec2FeatureExtractor(**preprocessor).save_pretrained(folder)
        return folder

    return save


@pytest.fixture
def tone(tmp_path: Path) -> Callable[..., Path]:
    """`tone(name, rate, channels, seconds, hertz)`: a file that holds a sine."""

    def write(name: str, rate: int = 16_000, channels: int = 1, seconds: float = 0.5, hertz: float = 440) -> Path:
        wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
        path = tmp_path / name
        soundfile.write(path, np.repeat(wave[:, None], channels, axis=1), rate)
        return path

    return write


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    yield
