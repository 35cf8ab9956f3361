"""The audio starter: small, whole, what its card says, and worth having on the demo's commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

import graftwork
from graftwork import State
from graftwork.plugins import registry
from graftwork.testing import conformance
from graftwork_audio import spectrum

SPEC = registry.backbone("audio/wav2vec2-tiny")
FOLDER = SPEC.weights.find()


def reference(backbone: Any, values: list[Any]) -> torch.Tensor:
    """transformers' preparation and model of the folder as it stands, and torchaudio's spectrogram; each clip alone."""
    from torchaudio.transforms import MelSpectrogram
    from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

    extractor = Wav2Vec2FeatureExtractor.from_pretrained(FOLDER)
    model = Wav2Vec2Model.from_pretrained(FOLDER, dtype=torch.float32).eval()
    mel = MelSpectrogram(16_000, n_fft=1024, win_length=784, hop_length=384, n_mels=64, center=False)
    rows = []
    for clip in values:
        wave = extractor(clip.samples[0], sampling_rate=clip.rate, return_tensors="pt").input_values
        bands = mel(torch.nn.functional.pad(wave[0], (120, 120))).T  # a window is put in the middle of its 1024 samples
        bands = (torch.log(bands + spectrum.FLOOR) - spectrum.LEVEL) / spectrum.SPREAD
        rows.append(torch.cat([model(wave).last_hidden_state[0], bands], 1))
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
    assert FOLDER is not None
    card = json.loads((FOLDER / "graftwork.json").read_text(encoding="utf-8"))
    assert card["parameters"] == SPEC.parameters
    assert card["license"] == SPEC.license
    assert {**there.contract.facts, "duration": None} == {**SPEC.contract.facts, "duration": None}
    assert there.contract.preparation == SPEC.contract.preparation
    assert there.stages == SPEC.stages
    assert SPEC.feature_dim == 2 * (there.feature_dim + spectrum.BANDS)


def test_states_and_bands_are_pooled_by_mean_and_deviation() -> None:
    backbone = graftwork.load_backbone(SPEC, pretrained=False)
    width = SPEC.feature_dim // 2
    hidden = torch.randn(3, 7, width, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([7, 4, 1])
    found = backbone.pool(State(hidden, torch.arange(7) < lengths[:, None]))
    for row, length in enumerate(lengths):
        assert torch.allclose(found[row, :width], hidden[row, :length].mean(0), atol=1e-5)
        assert torch.allclose(found[row, width:], hidden[row, :length].std(0, correction=0), atol=1e-3)


def test_the_bands_are_the_same_after_every_stage() -> None:
    backbone = graftwork.load_backbone(SPEC)
    waves = torch.randn(2, 8_000, generator=torch.Generator().manual_seed(0))
    state, seen = State(waves), []
    for stage in backbone.stages():
        state = stage(state)
        seen.append(state.hidden[..., -spectrum.BANDS :])
    assert all(torch.equal(one, seen[0]) for one in seen)
    assert float(seen[0].detach().std()) > 0


def test_what_it_was_trained_on_is_not_what_it_is_judged_by() -> None:
    from graftwork_audio.demos import commands

    run = graftwork.fit(commands(Path()), "audio/wav2vec2-tiny")
    assert run.record["overlap"]["examples"] == 0
    assert run.metrics["accuracy"] > 0.9
