"""The bodies of the audio converters. Those that change samples are linear, so their order does not matter."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import torch
from torchaudio.functional import resample as band_limited

from graftwork import Value, Window
from graftwork_audio.clip import Clip

# The filter bank of a ratio p/q has about p * q numbers: 44 101 to 16 000 Hz taken literally would be 700 million.
_LARGEST_TERM = 2_000


def resample(clip: Clip, seen: Value, to: Value) -> Clip:
    """The clip at `to` Hz: windowed-sinc interpolation below the lower half rate (torchaudio's default filter).

    `(C, T)` at `seen` Hz becomes `(C, ceil(T * to / seen))`. Rates without a small common ratio are taken at the
    nearest one, which moves the pitch by less than 3 parts in 10 000 (half the gap between 1 and 2000 / 1999).
    """
    old, new = int(seen), int(to)
    length = math.ceil(clip.samples.shape[1] * new / old)
    ratio = _ratio(old, new)
    samples = band_limited(torch.from_numpy(clip.samples), ratio.denominator, ratio.numerator)
    samples = torch.nn.functional.pad(samples, (0, max(0, length - samples.shape[1])))[:, :length]
    return Clip(samples.contiguous().numpy(), new)


def downmix(clip: Clip, seen: Value, to: Value) -> Clip:
    """The mean of the channels: `(C, T)` to `(1, T)`."""
    return Clip(clip.samples.mean(0, keepdims=True), clip.rate)


def turn_down(clip: Clip, seen: Value, to: Value) -> Clip:
    """The clip made as loud as full scale: divided by its peak, which is above 1."""
    return Clip(clip.samples / np.abs(clip.samples).max(), clip.rate)


def windows(clip: Clip, seen: Value, to: Value) -> list[Window]:
    """The clip in windows of `to` seconds; the last one reaches back where too little is left for a whole one."""
    whole, length = clip.samples.shape[1], int(float(to) * clip.rate)
    starts = range(0, whole, length)
    return [
        Window(
            Clip(clip.samples[:, max(0, min(start, whole - length)) : start + length], clip.rate),
            min(length, whole - start) / whole,
        )
        for start in starts
    ]


def _ratio(old: int, new: int) -> Fraction:
    """`new / old`, or the nearest fraction whose larger term is at most `_LARGEST_TERM`."""
    exact = Fraction(new, old)
    if max(exact.numerator, exact.denominator) <= _LARGEST_TERM:
        return exact
    if exact <= 1:
        return exact.limit_denominator(_LARGEST_TERM)
    return 1 / (1 / exact).limit_denominator(_LARGEST_TERM)
