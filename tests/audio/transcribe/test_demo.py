"""Spoken digit strings to try `transcribe` on: texts that are said, and digits that can be told apart."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import soundfile

from graftwork_audio.transcribe.demo import CLIPS, DIGITS, RATE, VOICES, clips, digit_strings, spoken


@pytest.fixture(scope="module")
def strings(tmp_path_factory):
    """The folder, and its rows."""
    folder = digit_strings(tmp_path_factory.mktemp("digits"))
    return folder, [line.split("|") for line in (folder / "metadata.csv").read_text().splitlines()]


def test_every_clip_has_its_row_and_every_row_its_clip(strings) -> None:
    folder, rows = strings
    assert len(rows) == CLIPS
    assert {f"{name}.wav" for name, *_ in rows} == {path.name for path in (folder / "wavs").iterdir()}
    assert all(text == normalised for _, text, normalised in rows)


def test_clips_are_three_to_six_digits_each_voice_and_digit_often(strings) -> None:
    _, rows = strings
    texts = [text.split() for _, text, _ in rows]
    assert {len(text) for text in texts} == {3, 4, 5, 6}
    words = Counter(word for text in texts for word in text)
    assert set(words) == set(DIGITS)
    assert min(words.values()) >= 25
    assert len({" ".join(text) for text in texts}) >= CLIPS - 2
    voices = Counter(name.split("-")[0] for name, *_ in rows)
    assert voices == {f"v{number}": CLIPS // len(VOICES) for number in range(1, len(VOICES) + 1)}


def test_clips_are_sound_of_speech_length_that_is_not_clipped(strings) -> None:
    folder, rows = strings
    for name, text, _ in rows:
        samples, rate = soundfile.read(folder / "wavs" / f"{name}.wav")
        assert rate == RATE
        assert samples.ndim == 1
        assert 0.25 < len(samples) / rate / len(text.split()) < 1
        assert 0.25 < np.abs(samples).max() < 0.95


def test_they_are_the_same_ones_every_time(strings) -> None:
    folder, rows = strings
    for (name, text, samples), row in zip(clips(), rows[:4], strict=False):
        assert [name, text] == row[:2]
        saved, _ = soundfile.read(folder / "wavs" / f"{name}.wav")
        np.testing.assert_allclose(saved, samples, atol=2**-15)


def spectrum(samples: np.ndarray) -> np.ndarray:
    """Log power of 16 bands in each of 4 quarters of the time."""
    rows = []
    for quarter in np.array_split(samples, 4):
        power = np.abs(np.fft.rfft(quarter, 4096)) ** 2
        rows.append([np.log(band.mean() + 1e-3) for band in np.array_split(power, 16)])
    return np.array(rows).ravel()


def test_digits_are_told_apart_in_a_voice_that_was_never_heard() -> None:
    rng = np.random.default_rng(1)
    words = list(DIGITS)
    heard = np.array([[[spectrum(spoken(w, voice, rng)) for _ in range(3)] for w in words] for voice in VOICES])
    right = []
    for held in range(len(VOICES)):
        means = np.delete(heard, held, 0).mean((0, 2))  # (digits, F)
        for number in range(len(words)):
            distances = np.linalg.norm(heard[held, number][:, None] - means, axis=-1)
            right += (distances.argmin(1) == number).tolist()
    assert np.mean(right) > 0.85


def test_a_digit_is_said_a_little_otherwise_each_time() -> None:
    rng = np.random.default_rng(1)
    first, second = (spoken("five", VOICES[0], rng) for _ in range(2))
    assert len(first) != len(second) or not np.allclose(first, second)
    assert 0.2 < len(first) / RATE < 0.7


def test_a_digit_begins_and_ends_without_a_click() -> None:
    rng = np.random.default_rng(1)
    for word in DIGITS:
        samples = np.abs(spoken(word, VOICES[0], rng))
        assert samples[[0, -1]].max() < 0.01 * samples.max()
