"""Clips that are changed for training stay clips that the encoder reads."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork_audio.clip import Clip
from graftwork_audio.transcribe.changes import changed, faster


def tone(hertz: float, seconds: float, rate: int = 8_000) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)[None].astype(np.float32)


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.25])
def test_a_faster_clip_is_shorter_and_its_voice_higher(speed) -> None:
    made = faster(tone(400, 1.0), speed)
    assert made.shape == (1, int(8_000 / speed))
    loudest = np.abs(np.fft.rfft(made[0] * np.hanning(made.shape[1]))).argmax() * 8_000 / made.shape[1]
    assert loudest == pytest.approx(400 * speed, abs=2)
    assert np.abs(made).max() == pytest.approx(0.5, abs=0.05)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.floats(0.1, 1.0))
def test_a_changed_clip_fits_where_the_clip_did(seed, seconds) -> None:
    clip = Clip(tone(300, seconds), 8_000)
    made = changed(clip, random.Random(seed), 0.1, 1.0)
    assert 0.1 - 2 / 8_000 <= made.samples.shape[1] / 8_000 <= 1.0 + 1e-9
    assert made.samples.dtype == np.float32
    assert np.abs(made.samples).max() <= 1


def test_the_same_chance_changes_a_clip_in_the_same_way_and_another_otherwise() -> None:
    clip = Clip(tone(300, 0.6), 8_000)
    one, same, other = (changed(clip, random.Random(seed), 0.1, 1.0).samples for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert one.shape != other.shape
