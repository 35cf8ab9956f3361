"""Sound as a picture: the adapter that shows clips to image encoders."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import interpolate, pad
from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

from graftwork_audio.clip import Clip

SIDE = 224
MARGIN = 16
"""Image encoders cut a margin off (224 of 256 pixels stay); with one of its own the spectrogram is not cut."""

_mel = MelSpectrogram(16_000, n_fft=1024, win_length=400, hop_length=80, n_mels=128)
_decibel = AmplitudeToDB(top_db=80)


def picture(clip: Clip) -> npt.NDArray[np.uint8]:
    """The log-mel spectrogram of a 16 kHz clip of one channel as grey levels `(256, 256)`: time to the right, 128 bands
    upwards, the loudest point white and 80 dB below it black, stretched to 224 x 224 pixels in a black margin.
    """
    level = _decibel(_mel(torch.from_numpy(clip.samples[0])))
    level = (level - level.max() + 80) / 80
    square = interpolate(level.flip(0)[None, None], (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    return pad(square[0, 0].clamp(0, 1) * 255, (MARGIN,) * 4).round().to(torch.uint8).numpy()
