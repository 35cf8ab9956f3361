"""Clips made to measure, for the conformance kit: of a rate, a length, so many channels, loud or silent."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping

import numpy as np
import soundfile

from graftwork import Raw, Value

SUBTYPES = {8: "PCM_U8", 16: "PCM_16", 24: "PCM_24", 32: "FLOAT", 64: "DOUBLE"}
"""How a WAV file holds samples of so many bits."""


def build(facts: Mapping[str, Value], rng: random.Random) -> Raw:
    """A tone in noise, 16 000 Hz, one channel, 0.4 to 0.9 s. Raises `LookupError` for what no WAV file holds."""
    cancelling = facts.get("sound") == "silent as mono"
    rate, channels = int(facts.get("sampling_rate", 16_000)), int(facts.get("channels", 2 if cancelling else 1))
    seconds = float(facts.get("duration", rng.randint(40, 90) / 100))
    peak = float(facts.get("amplitude", 0.0 if facts.get("sound") == "silent" else 0.5))
    depth = facts.get("bit_depth", 32 if peak > 1 or "amplitude" in facts else 16)
    frames = round(seconds * rate)
    odd = cancelling and channels % 2
    if facts.get("video") == "present":
        raise LookupError("no video is made")
    if frames < 1 or not 1 <= channels <= 16 or rate < 1 or not isinstance(depth, int) or not 0 <= peak < 100 or odd:
        raise LookupError("no such clip is made")
    numbers = np.random.default_rng(rng.getrandbits(32))
    time = np.arange(frames)[:, None] / rate
    pitch = numbers.uniform(100, rate / 4, channels)
    samples = np.sin(2 * np.pi * pitch * time) + 0.1 * numbers.standard_normal((frames, channels))
    if cancelling:
        samples[:, ::2], samples[:, 1::2] = samples[:, :1], -samples[:, :1]
    samples *= peak / np.abs(samples).max()
    if facts.get("clipping") == "clipped":
        samples = np.sign(samples)
    made = io.BytesIO()
    soundfile.write(made, samples, rate, subtype=SUBTYPES[depth], format="WAV")
    return Raw("sample.wav", value=made.getvalue())
