"""How loud samples are: as stored, mixed to one channel, and how many of them are as loud as can be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SILENT = 10 ** (-60 / 20)
"""A peak below -60 dB of full scale is silence."""
CANCELLED = 10 ** (-30 / 20)
"""Channels cancel each other where their mean is below -30 dB of the loudest. Different sounds in two channels lose 3
to 6 dB when they are mixed, one channel among eight 18 dB.
"""
CLIPPED = 1e-3
"""The share of samples at full scale from which a clip counts as clipped: the peak of a loud clip that was scaled to
full scale is a few samples, and a cut one stays there."""
PART = 8_192
"""Frames at a time, which stay in a processor's cache."""
BEYOND = 1.01
"""Samples above this (of files of floats) show that full scale is no ceiling here."""


@dataclass(frozen=True)
class Levels:
    """Peaks, full scale being 1: of the loudest channel (`peak`), and of the mean of all (`mono`). clipped: the share
    of the samples that are at full scale, 0..1. frames: samples per channel.
    """

    peak: float
    mono: float
    clipped: float
    frames: int

    @property
    def sound(self) -> str:
        """ "audible", "silent", or "silent as mono" where the channels cancel each other."""
        if self.peak < SILENT:
            return "silent"
        return "audible" if self.mono >= max(SILENT, CANCELLED * self.peak) else "silent as mono"

    @property
    def clipping(self) -> str:
        """ "none" or "clipped"."""
        return "clipped" if self.clipped >= CLIPPED and self.peak <= BEYOND else "none"


def levels(blocks: Iterable[npt.NDArray[np.float32]], bits: int = 16) -> Levels:
    """The levels of samples in blocks `(T, C)` that are stored in so many bits."""
    # The largest number of so many bits is that much below 1.
    top = 1 - 2.0 ** (1 - min(bits, 16))
    peak = mono = 0.0
    full = count = frames = 0
    for part in (block[start : start + PART] for block in blocks for start in range(0, len(block), PART)):
        highest = _peak(part)
        if highest >= top:
            full += int(np.count_nonzero(np.abs(part) >= top))
        channels = part.shape[1]
        mixed = highest if channels == 1 else _peak(part @ np.full(channels, 1 / channels, np.float32))
        peak, mono = float(np.maximum(peak, highest)), float(np.maximum(mono, mixed))  # NaN stays
        count, frames = count + part.size, frames + len(part)
    return Levels(peak, mono, full / count if count else 0.0, frames)


def _peak(samples: npt.NDArray[np.float32]) -> np.float32:
    return np.maximum(samples.max(), -samples.min())
