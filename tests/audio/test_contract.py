"""Clips that are too long, too loud, silent, or shown as pictures; and SciPy's awkward files through the whole way."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import graftwork as gw
from graftwork import Raw, Unreadable
from graftwork.data.pipeline import Pipeline
from graftwork.plugins import registry
from graftwork_audio.clip import Clip
from graftwork_audio.convert import turn_down, windows
from graftwork_audio.logmel import MARGIN, picture
from graftwork_audio.reader import AudioReader

SCIPY = pytest.importorskip("scipy.io").__path__[0]
WAVES = sorted((Path(SCIPY) / "tests" / "data").glob("*.wav"))
READER = AudioReader()


@settings(max_examples=50, deadline=None)
@given(frames=st.integers(1, 400), rate=st.integers(5, 40), limit=st.sampled_from([1.0, 2.5, 4.0]))
def test_windows_hold_every_sample_and_each_is_as_long_as_allowed(frames: int, rate: int, limit: float) -> None:
    clip = Clip(np.arange(frames, dtype=np.float32)[None], rate)
    parts = windows(clip, frames / rate, limit)
    length = int(limit * rate)
    assert {int(x) for part in parts for x in part.value.samples[0]} == set(range(frames))
    assert sum(part.weight for part in parts) == pytest.approx(1)
    assert all(part.value.samples.shape[1] == min(length, frames) for part in parts)
    assert parts[0].value.samples[0, 0] == 0


def test_a_long_clip_is_read_in_windows_whose_features_are_averaged(saved: Callable[..., Path], tmp_path: Path) -> None:
    folder = saved("layer")
    noise = np.random.default_rng(0)
    for label, level in (("low", 200), ("high", 3_000)):
        for number in range(6):
            seconds = 40.0 if number == 0 else 0.5
            wave = 0.3 * np.sin(2 * np.pi * level * np.arange(round(seconds * 16_000)) / 16_000)
            path = tmp_path / "clips" / label / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, wave + 0.01 * noise.standard_normal(len(wave)), 16_000)
    run = gw.fit(tmp_path / "clips", f"local:{folder}")
    steps = [(s["converter"], s["seen"], s["to"], s["count"]) for s in run.record["agreement"]["steps"]]
    assert steps == [("windows", 40.0, 15.625, 2)]
    assert run.record["long"] == {"mode": "windows", "examples": 2, "windows": 6, "truncated": 0.0}
    cut = gw.fit(tmp_path / "clips", f"local:{folder}", long="truncate")
    assert cut.record["long"] == {"mode": "truncate", "examples": 2, "windows": 2, "truncated": 0.6094}


def test_a_short_clip_is_named_and_left_out_and_too_many_are_refused(
    saved: Callable[..., Path], sine: Callable[..., Path], tmp_path: Path
) -> None:
    folder = saved("layer")
    for number in range(20):
        sine(f"clips/{'ab'[number % 2]}/{number}.wav", hertz=300 + 50 * number)
    sine("clips/a/click.wav", seconds=0.001)
    run = gw.fit(tmp_path / "clips", f"local:{folder}")
    assert any(
        w.endswith(
            f"click.wav' does not fit: its duration is 0.001 s; backbone 'local:{folder}' wants 0.002 to 15.625 s."
        )
        for w in run.record["warnings"]
    )
    assert len(run.record["data"]["left_out"]) == 1
    with pytest.raises(gw.InputMismatch, match=r"has 0.001 s in 1 of 21 files"):
        gw.fit(tmp_path / "clips", f"local:{folder}", on_bad="error")
    sine("clips/b/click.wav", seconds=0.001)
    with pytest.raises(gw.InputMismatch, match=r"has 0.001 s in 2 of 22 files \(first: .*click.wav\)"):
        gw.fit(tmp_path / "clips", f"local:{folder}")


def test_what_is_louder_than_full_scale_is_turned_down_to_it(tmp_path: Path) -> None:
    wave = np.array([0.1, -3.0, 1.5], np.float32).repeat(100)
    soundfile.write(tmp_path / "loud.wav", wave, 16_000, subtype="FLOAT")
    facts, clip = READER.read(Raw("loud.wav", tmp_path / "loud.wav"))
    assert facts["amplitude"] == 3.0
    np.testing.assert_allclose(turn_down(clip, 3.0, 1.0).samples[0], wave / 3, rtol=1e-6)


def test_silence_is_seen_and_warned_of_but_not_refused() -> None:
    def sound(level: float) -> Any:
        return READER.facts(Raw("x", value=Clip(np.full((1, 800), level, np.float32), 16_000)))

    assert [sound(level)["sound"] for level in (0.0, 0.0009, 0.0011)] == ["silent", "silent", "audible"]
    observed = registry.modality("audio").observed("the folder", [("a.wav", sound(0.0))], "files")
    agreement = registry.agree_on(registry.backbone("audio/wav2vec2-base"), observed)
    assert agreement.warnings == (
        "1 of 1 files: sound silent, not audible: they hold nothing to hear; the first: a.wav",
    )


@pytest.mark.parametrize(
    ("subtype", "depth"),
    [("PCM_16", 16), ("PCM_24", 24), ("PCM_U8", 8), ("FLOAT", 32), ("ULAW", "8-bit telephone code")],
)
def test_the_bit_depth_is_read_from_the_header(tmp_path: Path, subtype: str, depth: object) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 8_000, subtype=subtype)
    assert READER.facts(Raw("a.wav", tmp_path / "a.wav"))["bit_depth"] == depth


def test_a_spectrogram_is_a_png_that_shows_a_tone_where_it_lies(sine: Callable[..., Path]) -> None:
    import io

    from PIL import Image

    for hertz in (1_000, 6_000):
        image = Image.open(io.BytesIO(READER.picture(Raw("t", sine("t.wav", hertz=hertz)))))
        assert image.size == (160, 96)
        brightest = np.asarray(image).mean(1).argmax()
        assert brightest == pytest.approx(96 * (1 - hertz / 8_000), abs=3)


def test_the_adapter_shows_low_tones_below_high_ones_within_its_margin() -> None:
    def row(hertz: int) -> int:
        wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000)
        shown = picture(Clip(wave.astype(np.float32)[None], 16_000))
        assert shown.shape == (256, 256)
        assert shown.dtype == np.uint8
        assert not shown[:MARGIN].any()
        assert not shown[:, -MARGIN:].any()
        return int(shown.mean(1).argmax())

    assert row(4_000) < row(1_000) < row(300)
    assert picture(Clip(np.zeros((1, 1_600), np.float32), 16_000)).shape == (256, 256)


def test_sound_reaches_an_image_encoder_only_through_the_adapter_that_the_user_names(tmp_path: Path) -> None:
    observed = registry.modality("audio").observed(
        "the folder",
        [("a.wav", READER.facts(Raw("a", value=Clip(np.full((2, 9_000), 0.1, np.float32), 8_000))))],
        "files",
    )
    spec = registry.backbone("image/resnet18")
    with pytest.raises(gw.InputMismatch, match="reads images; the folder holds audio"):
        registry.agree_on(spec, observed)
    agreement = registry.agree_on(spec, observed, "audio:image-logmel")
    assert [(s.converter, s.seen, s.to) for s in agreement.steps] == [
        ("downmix", 2, 1), ("resample", 8_000, 16_000), ("image-logmel", "audio", "image"), ("to-rgb", "L", "RGB"),
    ]  # fmt: skip
    assert agreement.warnings[-1] == (
        "1 of 1 files: sound is shown as a picture of its log-mel spectrogram, without phase"
    )
    with pytest.raises(gw.UsageError) as caught:
        registry.agree_on(registry.backbone("audio/wav2vec2-base"), observed, "audio:image-logmel")
    assert str(caught.value) == (
        "The adapter 'audio:image-logmel' leads from audio to image; the folder holds audio and 'audio/wav2vec2-base' "
        "reads audio. Leave out --adapter, or name one that leads from the one to the other."
    )
    with pytest.raises(gw.UnknownName, match="No adapter is called 'audio:mel'; the nearest is audio:image-logmel"):
        registry.agree_on(spec, observed, "audio:mel")


@pytest.mark.skipif(not WAVES, reason="scipy is installed without its test data")
def test_every_wave_file_of_scipys_tests_is_used_converted_or_named(tiny_spec: Callable[..., gw.BackboneSpec]) -> None:
    spec = tiny_spec("layer")
    modality = registry.modality("audio")
    prepare = registry.preparer(spec)
    used: list[str] = []
    named: dict[str, str] = {}
    for path in WAVES:
        raw = Raw(path.name, path)
        begun = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                observed = modality.observed("the file", [(path.name, READER.facts(raw))], "files")
                agreement = registry.agree_on(spec, observed, may_leave_out=1.0)
                state = prepare([window.value for window in Pipeline(spec.contract, agreement, modality)(raw)])
                assert state.hidden.isfinite().all()
                used.append(path.name)
            except Unreadable as error:
                named[path.name] = error.message
        assert time.perf_counter() - begun < 5
    assert len(used) + len(named) == len(WAVES)
    assert len(used) >= 8
    for name, reason in named.items():
        assert reason.startswith((f"'{name}' cannot be read as audio: ", f"'{name}' does not fit: its duration is 0"))
