"""Spoken commands to try the plugin on, and how far one gets with them without any encoder."""

from __future__ import annotations

import math
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torchaudio.transforms import MelSpectrogram

from graftwork_audio.clip import Clip

BANDS = 40
HELD_OUT = ("en-gb-f4", "en-gb-scotland-f2", "en-gb-x-rp-f4", "en-us-f2")
"""The voices of women, by which the demo is judged; it learns from those of men."""


def commands(folder: Path) -> Path:
    """The folder of spoken commands that comes with the package; nothing is written into `folder`."""
    return Path(__file__).parent / "demo" / "commands"


def commands_by_voice(folder: Path) -> Path:
    """Copy the commands below `folder` as a training split and, of voices that it has not, a validation split."""
    for clip in sorted(commands(folder).glob("*/*.flac")):
        voice = clip.stem.removeprefix(f"{clip.parent.name}-").rpartition("-")[0]
        place = folder / ("validation" if voice in HELD_OUT else "train") / clip.parent.name
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, place)
    return folder


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
