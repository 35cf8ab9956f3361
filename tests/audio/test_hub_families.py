"""Encoders of sound in hub layout beside wav2vec 2.0: each is the library's forward, whatever else is in the batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoConfig, AutoModel, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

import graftwork as gw
from graftwork import Backbone, load_backbone
from graftwork.plugins import registry
from graftwork_audio import resolve
from graftwork_audio.clip import Clip
from graftwork_audio.families import MAPPED, WHOLE

TINY: dict[str, Any] = {
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
SHAPES: dict[str, dict[str, Any]] = {
    "data2vec-audio": {**TINY, "conv_pos_kernel_size": 3, "num_conv_pos_embeddings": 2},
    "sew": {**TINY, "squeeze_factor": 2},
    "sew-d": {**TINY, "squeeze_factor": 2, "position_buckets": 8, "max_position_embeddings": 64},
    "wav2vec2-conformer": {**TINY, "conv_depthwise_kernel_size": 3, "max_source_positions": 400},
}
WAVES = [kind for kind in (*MAPPED, *WHOLE) if kind != "wav2vec2"]
CLIPS = (500, 340, 760)


def save(folder: Path, kind: str, extractor: Any, **fields: Any) -> Path:
    """A tiny model of a type with random weights and its feature extractor, as a folder in hub layout."""
    torch.manual_seed(1)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **fields))
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def waves(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`waves(model_type)`: a tiny encoder of waveforms."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            made[kind] = save(folder, kind, Wav2Vec2FeatureExtractor(do_normalize=False), **SHAPES.get(kind, TINY))
        return made[kind]

    return make


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Whisper that reads one second."""
    extractor = WhisperFeatureExtractor(feature_size=20, chunk_length=1)
    shape = {"d_model": 16, "num_mel_bins": 20, "max_source_positions": 50, "vocab_size": 30}
    shape |= {f"{side}_{part}": 2 for side in ("encoder", "decoder") for part in ("layers", "attention_heads")}
    shape |= {"encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "pad_token_id": 1, "decoder_start_token_id": 2}
    return save(tmp_path_factory.mktemp("whisper"), "whisper", extractor, **shape)


def outputs(backbone: Backbone, clips: list[Clip]) -> list[torch.Tensor]:
    """The frames `(T', D)` of each clip, padding cut off."""
    with torch.inference_mode():
        state = backbone(backbone.prepare(clips))
    mask = torch.ones(state.hidden.shape[:2], dtype=torch.bool) if state.mask is None else state.mask
    return [row[real] for row, real in zip(state.hidden, mask, strict=True)]


@pytest.mark.parametrize("kind", WAVES)
def test_each_clip_of_a_batch_is_the_librarys_forward_on_it_alone(waves, clip, kind) -> None:
    backbone = load_backbone(registry.backbone(f"local:{waves(kind)}"))
    model = AutoModel.from_pretrained(waves(kind)).eval()
    clips = [clip(frames, seed=frames) for frames in CLIPS]
    for ours, made in zip(outputs(backbone, clips), clips, strict=True):
        with torch.inference_mode():
            theirs = model(torch.from_numpy(made.samples)).last_hidden_state[0]
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", [kind for kind in MAPPED if kind != "wav2vec2"])
def test_a_mapped_type_has_a_stage_for_each_layer_and_true_sizes(waves, clip, kind) -> None:
    spec = registry.backbone(f"local:{waves(kind)}")
    backbone = load_backbone(spec)
    assert (spec.stages, spec.note) == (("stem", "position", "block1", "block2"), "")
    assert spec.parameters == sum(p.numel() for p in backbone.parameters())
    owned = [id(p) for stage in backbone.stages() for p in stage.parameters()]
    assert len(owned) == len(set(owned))
    backbone.features(backbone.prepare([clip(500)]), 3).sum().backward()
    assert all(p.grad is not None for p in backbone.parameters())


def test_a_copy_of_wavlm_reads_its_own_table_of_distances(waves, clip) -> None:
    import copy

    backbone = load_backbone(registry.backbone(f"local:{waves('wavlm')}"))
    twin = copy.deepcopy(backbone)
    before = outputs(backbone, [clip(500)])[0]
    twin.stages()[2].layer.attention.rel_attn_embed.weight.data.normal_()
    assert torch.equal(before, outputs(backbone, [clip(500)])[0])
    assert not torch.allclose(before, outputs(twin, [clip(500)])[0])


def test_whisper_reads_what_the_librarys_feature_extractor_makes(whisper, clip) -> None:
    spec = registry.backbone(f"local:{whisper}")
    backbone = load_backbone(spec)
    assert (spec.stages, spec.feature_dim) == (("stem", "block1", "block2", "norm"), 16)
    assert spec.parameters == sum(p.numel() for p in backbone.parameters())
    assert str(spec.contract.facts["duration"]) == "0.01 to 1 s"
    made = clip(8_000, seed=3)
    library = WhisperFeatureExtractor.from_pretrained(whisper)
    features = library(made.samples[0], sampling_rate=16_000, return_tensors="pt")["input_features"]
    with torch.inference_mode():
        theirs = AutoModel.from_pretrained(whisper).eval().encoder(features).last_hidden_state[0]
    alone, beside = outputs(backbone, [made])[0], outputs(backbone, [made, clip(14_000)])[0]
    torch.testing.assert_close(alone, theirs[:25], atol=1e-5, rtol=0)
    torch.testing.assert_close(beside, alone, atol=1e-5, rtol=0)


def test_a_clip_longer_than_whisper_reads_is_cut_into_windows(whisper, tmp_path, sine) -> None:
    for label, hertz in (("low", 200), ("high", 2_000)):
        for number in range(3):
            sine(f"clips/{label}/{number}.wav", seconds=1.5, hertz=hertz + number)
    run = gw.fit(tmp_path / "clips", f"local:{whisper}", val=0.34)
    assert [step["converter"] for step in run.record["agreement"]["steps"]] == ["windows"]


def test_a_type_that_is_not_mapped_says_that_it_is_one_stage(waves) -> None:
    spec = registry.backbone(f"local:{waves('sew')}")
    assert spec.stages == ("model",)
    assert spec.note == (
        "The layers of SEWModel are not mapped to stages yet, so it is one stage: it stays frozen or trains whole."
    )


def test_the_tables_are_those_of_the_library() -> None:
    for kind, name in WHOLE.items():
        assert getattr(transformers, name).config_class.model_type == kind
    library = transformers.WhisperConfig()
    assert {name: getattr(library, name) for name in resolve.WHISPER} == resolve.WHISPER
    extractor = WhisperFeatureExtractor()
    assert {name: getattr(extractor, name) for name in resolve.FEATURES} == resolve.FEATURES


@pytest.mark.parametrize("kind", [kind for kind in MAPPED if kind != "wav2vec2"])
def test_the_frames_of_a_mapped_type_lie_in_the_clip(waves, kind) -> None:
    spec = registry.backbone(f"local:{waves(kind)}")
    backbone = load_backbone(spec)
    assert spec.views == ("pooled", "sequence")
    clips = [Clip(np.random.default_rng(0).normal(size=(1, n)).astype(np.float32), 16_000) for n in CLIPS]
    batch = backbone.prepare(clips)
    with torch.inference_mode():
        view = backbone.sequence(clips, batch, backbone(batch))
    for count, mask, spans in zip(CLIPS, view.mask, view.spans, strict=True):
        assert spans[mask].min() >= 0
        assert spans[mask].max() <= count / 16_000
        assert torch.allclose(spans[mask].diff(dim=1), torch.tensor(20 / 16_000, dtype=torch.float64))
        assert not spans[~mask].any()


@pytest.mark.parametrize("kind", WHOLE)
def test_a_type_of_sound_that_is_one_stage_names_no_sequence(waves, kind) -> None:
    assert registry.backbone(f"local:{waves(kind)}").views == ("pooled",)


def test_the_frames_of_whisper_lie_in_its_window(whisper) -> None:
    spec = registry.backbone(f"local:{whisper}")
    backbone = load_backbone(spec)
    clips = [Clip(np.zeros((1, 8_000), dtype=np.float32), 16_000)]
    batch = backbone.prepare(clips)
    with torch.inference_mode():
        view = backbone.sequence(clips, batch, backbone(batch))
    assert view.hidden.shape[1] == 50
    assert view.spans[0, :2].tolist() == [[0.0, 0.02], [0.02, 0.04]]
    assert 0.48 <= float(view.spans.max()) <= 0.52
