"""The audio converters: they keep what they should, say what they lose, and may come in either order."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork import ObservedInput, Raw
from graftwork.plugins import registry
from graftwork_audio.clip import Clip
from graftwork_audio.convert import downmix, resample
from graftwork_audio.reader import AudioReader


def loudest(clip: Clip) -> float:
    """The frequency in Hz of the strongest component of the first channel."""
    spectrum = np.abs(np.fft.rfft(clip.samples[0] * np.hanning(clip.samples.shape[1])))
    return float(spectrum.argmax() * clip.rate / clip.samples.shape[1])


def test_a_tone_keeps_its_pitch_and_height_from_44100_stereo_to_16000_mono(sine: Callable[..., Path]) -> None:
    path = sine("tone.wav", rate=44_100, channels=2, seconds=1.0, hertz=1_000)
    clip = AudioReader().decode(Raw("tone.wav", path))
    made = downmix(resample(clip, 44_100, 16_000), 2, 1)
    assert (made.samples.shape, made.rate, made.samples.dtype) == ((1, 16_000), 16_000, np.float32)
    assert loudest(made) == pytest.approx(1_000, abs=1)
    assert np.abs(made.samples[0, 1_000:-1_000]).max() == pytest.approx(0.5, abs=0.01)


def test_what_lies_above_the_new_half_rate_is_removed_and_does_not_fold_back(sine: Callable[..., Path]) -> None:
    path = sine("high.wav", rate=44_100, seconds=0.5, hertz=12_000)
    made = resample(AudioReader().decode(Raw("high.wav", path)), 44_100, 16_000)
    assert np.abs(made.samples[0, 500:-500]).max() < 0.01


@settings(max_examples=15, deadline=None)
@given(
    rate=st.sampled_from([8_000, 11_025, 22_050, 44_100, 48_000]),
    channels=st.integers(1, 3),
    frames=st.integers(30, 900),
)
def test_the_order_of_downmix_and_resample_does_not_matter(
    clip: Callable[..., Clip], rate: int, channels: int, frames: int
) -> None:
    given_clip = clip(frames, rate, channels)
    one = downmix(resample(given_clip, rate, 16_000), channels, 1)
    other = resample(downmix(given_clip, channels, 1), rate, 16_000)
    np.testing.assert_allclose(one.samples, other.samples, atol=1e-5)
    assert one.rate == other.rate == 16_000


@settings(max_examples=20, deadline=None)
@given(seen=st.integers(4_000, 96_000), to=st.sampled_from([8_000, 16_000, 24_000]))
def test_any_rate_reaches_any_other_with_the_length_in_seconds_kept(
    clip: Callable[..., Clip], seen: int, to: int
) -> None:
    made = resample(clip(501, seen), seen, to)
    assert made.rate == to
    assert made.samples.shape == (1, math.ceil(501 * to / seen))
    assert np.isfinite(made.samples).all()


def test_rates_without_a_common_ratio_keep_the_pitch(sine: Callable[..., Path]) -> None:
    path = sine("odd.wav", rate=44_101, seconds=2.0, hertz=1_000)
    made = resample(AudioReader().decode(Raw("odd.wav", path)), 44_101, 16_000)
    reference = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(made.samples.shape[1]) / 16_000)
    np.testing.assert_allclose(made.samples[0, 500:-500], reference[500:-500], atol=0.01)


def test_downmix_takes_the_mean_of_the_channels() -> None:
    clip = Clip(np.array([[0.2, 0.4], [0.6, -0.4]], np.float32), 8_000)
    np.testing.assert_allclose(downmix(clip, 2, 1).samples, [[0.4, 0.0]], atol=1e-7)


def test_each_loss_is_said_in_words() -> None:
    rate, channels = registry.converter("audio", "resample"), registry.converter("audio", "downmix")
    expected = "8 000 Hz audio has nothing above 4 000 Hz, which a 16 000 Hz encoder expects"
    assert rate.loses(8_000, 16_000) == expected
    assert rate.loses(44_100, 16_000) == "everything above 8 000 Hz is left out"
    assert channels.loses(2, 1) == "the difference between the 2 channels is lost"


def test_clips_of_8_khz_agree_with_a_16_khz_encoder_and_warn() -> None:
    facts = {"sampling_rate": 8_000, "channels": 2, "duration": 1.0, "amplitude": 0.5}
    examples = [(f"call{number}.wav", facts) for number in range(3)]
    observed = ObservedInput.of("audio", "calls", examples, items="files", units=registry.modality("audio").units)
    agreement = registry.agree_on(registry.backbone("audio/wav2vec2-base"), observed)
    steps = [(step.converter, step.fact, step.seen, step.to, step.count) for step in agreement.steps]
    assert steps == [("downmix", "channels", 2, 1, 3), ("resample", "sampling_rate", 8_000, 16_000, 3)]
    assert agreement.warnings == (
        "3 of 3 files: the difference between the 2 channels is lost",
        "3 of 3 files: 8 000 Hz audio has nothing above 4 000 Hz, which a 16 000 Hz encoder expects",
    )


def test_clips_that_meet_the_contract_need_no_step() -> None:
    observed = ObservedInput.of("audio", "calls", [("a.wav", Clip(np.zeros((1, 400), np.float32), 16_000).facts())])
    assert registry.agree_on(registry.backbone("audio/wav2vec2-base"), observed).steps == ()
