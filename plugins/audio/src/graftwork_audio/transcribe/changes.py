"""Clips changed by chance for training on their texts: said faster or slower by another voice, then by `augment`."""

from __future__ import annotations

import dataclasses
import random

import numpy as np

from graftwork_audio import augment
from graftwork_audio.clip import Clip

SPEED = 0.2
"""The greatest part by which a clip becomes faster or slower, and its voice higher or deeper (Ko et al. 2015, who take
0.1; voices differ by more than that)."""


def changed(clip: Clip, rng: random.Random, shortest: float, longest: float) -> Clip:
    """Another version of a clip, of `shortest` to `longest` seconds where the clip itself was."""
    duration = clip.samples.shape[1] / clip.rate
    speed = rng.uniform(1 - SPEED, 1 + SPEED)
    if duration <= longest:
        speed = min(max(speed, duration / longest), max(1.0, duration / shortest))
    return augment.build()(dataclasses.replace(clip, samples=faster(clip.samples, speed)), rng)


def faster(samples: np.ndarray, speed: float) -> np.ndarray:
    """Samples `(C, T)` played at `speed` times theirs, `(C, T / speed)`, band-limited by their spectrum."""
    whole = samples.shape[1]
    length = max(1, int(whole / speed))
    spectrum = np.fft.rfft(samples, axis=1)[:, : length // 2 + 1]
    return (np.fft.irfft(spectrum, length, axis=1) * (length / whole)).astype(np.float32)
