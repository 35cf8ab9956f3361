"""Clips changed by chance for training: louder or softer, with noise, as through another microphone, with bands of time
and of frequency missing."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

import numpy as np
import torch
import torchaudio

from graftwork_audio.clip import Clip

GAIN_DB, LEAST_SNR_DB, MOST_SNR_DB = 6.0, 10.0, 40.0
FILTERED, FILTER_DB, OCTAVES = 0.5, 8.0, 7
"""How often a clip is heard through another microphone, and the most that this does to an octave, of so many below half
the rate."""
NARROW, NARROWEST, WIDEST = 0.3, 3_000.0, 4_000.0
"""How often nothing above a frequency is left, as over a telephone; Hz."""
TIME, FREQUENCY = 0.1, 0.1
"""The greatest part of the frames, and of the bins, that one mask takes; there are two of each."""


def build() -> Callable[[Clip, random.Random], Clip]:
    """SpecAugment (Park et al. 2019, arXiv:1904.08779) on the spectrogram of the clip, which is then turned back into
    samples, so that it serves encoders of waveforms; before it a gain, white noise and a filter."""

    def change(clip: Clip, rng: random.Random) -> Clip:
        generator = torch.Generator().manual_seed(rng.getrandbits(32))
        samples = torch.from_numpy(clip.samples).clone()
        power = samples.square().mean().sqrt()
        noise = (
            torch.randn(samples.shape, generator=generator) * power / _factor(rng.uniform(LEAST_SNR_DB, MOST_SNR_DB))
        )
        samples = _mask((samples + noise) * _factor(rng.uniform(-GAIN_DB, GAIN_DB)), clip.rate, rng)
        return dataclasses.replace(clip, samples=samples.clamp(-1, 1).numpy())

    return change


def _factor(decibels: float) -> float:
    return 10 ** (decibels / 20)


def _gains(bins: int, rate: int, rng: random.Random) -> torch.Tensor:
    """The factor of each frequency from 0 to half the rate: a filter, or 1."""
    frequencies = np.linspace(0, rate / 2, bins)
    decibels = np.zeros(bins)
    if rng.random() < FILTERED:
        octaves = rate / 2 / 2.0 ** np.arange(OCTAVES)[::-1]
        decibels = np.interp(frequencies, octaves, [rng.uniform(-FILTER_DB, FILTER_DB) for _ in octaves])
    gains = 10 ** (decibels / 20)
    if rng.random() < NARROW:
        gains[frequencies > rng.uniform(NARROWEST, WIDEST)] = 0
    return torch.from_numpy(gains).float()


def _mask(samples: torch.Tensor, rate: int, rng: random.Random) -> torch.Tensor:
    """Two masks in time and two in frequency, on frames of 32 ms."""
    size = 2 ** max(5, round(rate * 0.032).bit_length() - 1)
    if samples.shape[-1] <= size:
        return samples
    spectrum = torchaudio.functional.spectrogram(
        samples, 0, torch.hann_window(size), size, size // 2, size, power=None, normalized=False
    )
    spectrum = spectrum * _gains(spectrum.shape[-2], rate, rng)[:, None]
    for axis, most in ((-1, TIME), (-1, TIME), (-2, FREQUENCY), (-2, FREQUENCY)):
        length = spectrum.shape[axis]
        width = round(rng.uniform(0, most) * length)
        spectrum.narrow(axis, rng.randint(0, length - width), width).zero_()
    return torchaudio.functional.inverse_spectrogram(
        spectrum, samples.shape[-1], 0, torch.hann_window(size), size, size // 2, size, normalized=False
    )
