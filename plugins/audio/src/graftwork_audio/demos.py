"""Spoken commands to try the plugin on, and how far one gets with them without any encoder."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torchaudio.transforms import MelSpectrogram

from graftwork_audio.clip import Clip

BANDS = 40


def commands(folder: Path) -> Path:
    """The folder of spoken commands that comes with the package; nothing is written into `folder`."""
    return Path(__file__).parent / "demo" / "commands"


def log_mel(values: list[Clip]) -> npt.NDArray[np.float32]:
    """Mean and standard deviation over time of each band of a log-mel spectrogram: `(N, 2 * 40)`.

    Taken at the clip's own rate, after averaging its channels.
    """
    rows = np.zeros((len(values), 2 * BANDS), dtype=np.float32)
    for row, clip in zip(rows, values, strict=True):
        bands = torch.log(_mel(clip.rate)(torch.from_numpy(clip.samples.mean(0))) + 1e-6)
        row[:BANDS] = bands.mean(1)
        row[BANDS:] = bands.std(1, correction=0)
    return rows


@cache
def _mel(rate: int) -> MelSpectrogram:
    # Windows of at least 32 ms, so that every band holds a frequency; zeros at the ends, so that a clip may be short.
    window = 2 ** math.ceil(math.log2(0.032 * rate))
    return MelSpectrogram(rate, n_fft=window, hop_length=max(1, round(0.010 * rate)), n_mels=BANDS, pad_mode="constant")
