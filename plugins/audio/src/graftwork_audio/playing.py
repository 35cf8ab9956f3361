"""Clips as pages play them: short, of one channel, no more samples than ears need."""

from __future__ import annotations

import io

import soundfile

from graftwork_audio.clip import Clip
from graftwork_audio.convert import downmix, resample

RATE = 16_000
"""Samples a second at the most."""


def as_flac(clip: Clip, seconds: float) -> bytes:
    """The first seconds of a clip as a FLAC file of one channel and 16 bits, at 16 kHz or less."""
    clip = Clip(clip.samples[:, : int(seconds * clip.rate)], clip.rate)
    clip = downmix(clip, clip.samples.shape[0], 1)
    if clip.rate > RATE:
        clip = resample(clip, clip.rate, RATE)
    file = io.BytesIO()
    soundfile.write(file, clip.samples[0].clip(-1, 1), clip.rate, "PCM_16", format="FLAC")
    return file.getvalue()
