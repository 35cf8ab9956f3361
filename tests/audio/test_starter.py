"""The audio starter: small, whole, what its card says, and worth having on the demo's commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import graftwork
from graftwork import registry
from graftwork.testing import conformance

SPEC = registry.backbone("audio/wav2vec2-tiny")
FOLDER = SPEC.weights.find()


def reference(backbone: Any, values: list[Any]) -> torch.Tensor:
    """transformers' preparation and model of the folder as it stands, each clip alone."""
    from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

    extractor = Wav2Vec2FeatureExtractor.from_pretrained(FOLDER)
    model = Wav2Vec2Model.from_pretrained(FOLDER, dtype=torch.float32).eval()
    rows = [
        model(extractor(clip.samples[0], sampling_rate=clip.rate, return_tensors="pt").input_values).last_hidden_state[
            0
        ]
        for clip in values
    ]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


test_conformance = conformance("audio-starter", references={"audio/wav2vec2-tiny": reference})


def test_it_is_small() -> None:
    assert FOLDER is not None
    assert sum(parameter.numel() for parameter in graftwork.load_backbone(SPEC).parameters()) <= 6_000_000
    assert (FOLDER / "model.safetensors").stat().st_size <= 12_000_000
    assert (FOLDER / "model.safetensors").stat().st_size == SPEC.weights.size_bytes


def test_its_card_and_contract_say_the_same() -> None:
    """But for the longest clip, which a folder does not say."""
    there = registry.backbone(f"local:{FOLDER}")
    card = there.card
    assert card is not None
    assert card["parameters"] == SPEC.parameters
    assert card["license"] == SPEC.license
    assert {**there.contract.facts, "duration": None} == {**SPEC.contract.facts, "duration": None}
    assert there.contract.preparation == SPEC.contract.preparation
    assert there.stages == SPEC.stages
    assert there.feature_dim == SPEC.feature_dim


def test_what_it_was_trained_on_is_not_what_it_is_judged_by() -> None:
    from graftwork_audio.demos import commands

    run = graftwork.fit(commands(Path()), "audio/wav2vec2-tiny")
    assert run.record["overlap"]["examples"] == 0
    assert run.metrics["accuracy"] > 0.9
