"""The audio plugin as the rest sees it: listed without weight, agreed on before weights, usable end to end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import graftwork as gw
from graftwork import HubWeights, InputMismatch, ObservedInput, Raw, WeightsUnavailable, load_backbone
from graftwork.plugins import registry
from graftwork_audio import demos
from graftwork_audio.clip import Clip
from graftwork_audio.reader import AudioReader

LISTING = """
import sys
from graftwork.plugins import registry
assert registry.modality("audio").reader == "graftwork_audio.reader:AudioReader"
assert [s.name for s in registry.backbones("audio")] and registry.converter("audio", "resample")
registry.converter("audio", "resample").loses(8000, 16000)
for spec in registry.backbones("audio"):
    spec.as_json()
heavy = {"torch", "torchaudio", "transformers", "numpy", "soundfile", "datasets"} & set(sys.modules)
assert not heavy, heavy
"""


def test_listing_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LISTING], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_describing_a_local_model_imports_nothing_heavy(saved: Callable[..., Path]) -> None:
    code = f"""
import sys
from graftwork.plugins import registry
assert registry.backbone({f"local:{saved('layer')}"!r}).feature_dim == 16
heavy = {{"torch", "torchaudio", "transformers", "numpy", "soundfile", "datasets"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_reader_never_imports_torch() -> None:
    code = "import sys, graftwork_audio.reader; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_images_are_refused_before_weights_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.backbones("image")  # the starter, which the sentence may name, is the one with weights at hand
    for method in ("find", "fetch"):
        monkeypatch.setattr(HubWeights, method, lambda self: pytest.fail("weights were looked for"))
    observed = ObservedInput.of("image", "the folder 'photos'", [("a.png", {"mode": "RGB"})], items="files")
    with pytest.raises(InputMismatch) as caught:
        registry.agree_on(registry.backbone("audio/wav2vec2-base"), observed)
    assert caught.value.message.startswith(
        "Backbone 'audio/wav2vec2-base' reads audio; the folder 'photos' holds image"
    )
    assert caught.value.message.endswith("(1 files).")
    assert "List all: graftwork backbones --modality image" in caught.value.hint


def test_a_clip_too_short_for_the_encoder_is_named() -> None:
    facts = {"sampling_rate": 16_000, "channels": 1, "amplitude": 0.5}
    examples = [("a.wav", {**facts, "duration": 1.0}), ("click.wav", {**facts, "duration": 0.024})]
    observed = ObservedInput.of("audio", "the folder 'clips'", examples, units=registry.modality("audio").units)
    with pytest.raises(InputMismatch) as caught:
        registry.agree_on(registry.backbone("audio/wav2vec2-base"), observed)
    assert caught.value.message == (
        "Backbone 'audio/wav2vec2-base' wants duration 0.025 to 15.625 s; the folder 'clips' has 0.024 s in 1 of 2 "
        "examples (first: click.wav), and no installed converter turns one into the other."
    )


def test_offline_the_missing_weights_are_named_with_the_way_to_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GRAFTWORK_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    with pytest.raises(WeightsUnavailable) as caught:
        load_backbone(registry.backbone("audio/wav2vec2-base"))
    assert caught.value.message == (
        "Backbone 'audio/wav2vec2-base' wants config.json, model.safetensors or pytorch_model.bin of "
        "'facebook/wav2vec2-base' on the Hugging Face hub, which is not on this machine, "
        "and --offline forbids fetching it."
    )
    assert "hf download facebook/wav2vec2-base" in caught.value.hint


def test_the_baseline_of_the_demo_needs_no_encoder(clip: Callable[..., Clip]) -> None:
    clips = [clip(9_000, 22_050), clip(700, 22_050, channels=2), clip(1, 8_000), clip(4_000, 8_000, seed=5)]
    features = demos.log_mel(clips)
    assert features.shape == (4, 80)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    np.testing.assert_allclose(features[3], demos.log_mel([clips[3]])[0], atol=1e-6)


def test_the_baseline_hears_where_a_tone_lies(sine: Callable[..., Path]) -> None:
    clips = [AudioReader().decode(Raw("t", sine("t.wav", hertz=hertz))) for hertz in (200, 1_000, 4_000)]
    loudest = demos.log_mel(clips)[:, :40].argmax(1)
    assert list(loudest) == sorted(set(loudest))


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000])
def test_every_band_of_the_baseline_holds_a_frequency(
    clip: Callable[..., Clip], rate: int, recwarn: pytest.WarningsRecorder
) -> None:
    features = demos.log_mel([clip(rate // 2, rate)])
    assert features[0, :40].min() > np.log(1e-6) + 1
    assert not [str(warning.message) for warning in recwarn if "mel filterbank" in str(warning.message)]


def test_the_demo_clips_are_readable(tmp_path: Path) -> None:
    folder = demos.commands(tmp_path)
    classes = sorted(child.name for child in folder.iterdir() if child.is_dir())
    assert len(classes) >= 2
    for name in classes:
        path = next((folder / name).glob("*.flac"))
        facts = AudioReader().facts(Raw(path.name, path))
        assert facts["sampling_rate"] == soundfile.info(path).samplerate == 22_050
    assert not list(tmp_path.iterdir())


def test_the_demo_is_judged_by_voices_that_it_does_not_learn_from(tmp_path: Path) -> None:
    folder = registry.load_factory(registry.demo("commands").data)(tmp_path)
    voices = {
        split: {clip.stem.split("-", 1)[1].rpartition("-")[0] for clip in (folder / split).glob("*/*.flac")}
        for split in ("train", "validation")
    }
    assert [len(list((folder / split).glob("*/*.flac"))) for split in voices] == [144, 96]
    assert len(voices["train"]) == 6
    assert voices["validation"] == set(demos.HELD_OUT)
    data = gw.data(folder)
    assert (data.splits or []).count("validation") == 96
