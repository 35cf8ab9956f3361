"""The value that audio has everywhere in this plugin: samples that never travel without their rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graftwork import Value

SILENT = 10 ** (-60 / 20)


@dataclass(frozen=True, eq=False)
class Clip:
    """A piece of sound.

    samples: `(C, T)` float32, full scale being -1 to 1 (float files may pass it). rate: samples per second, Hz.
    """

    samples: npt.NDArray[np.float32]
    rate: int

    def facts(self) -> dict[str, Value]:
        """The facts that a contract asks for."""
        channels, frames = self.samples.shape
        return facts_of(self.rate, channels, frames, float(np.abs(self.samples).max(initial=0)), 32)


def facts_of(rate: int, channels: int, frames: int, peak: float, depth: Value, video: bool = False) -> dict[str, Value]:
    """The facts of `frames` samples per channel at `rate` Hz, the largest of them `peak`, stored in `depth` bits.

    video: whether pictures go with the sound.

    The amplitude is the peak rounded up to hundredths. A clip is silent when its peak is below -60 dB of full scale.

    The duration, in seconds, is cut to whole milliseconds, not rounded: a clip that is said to last as long as
    an encoder needs must do so after resampling too.
    """
    return {
        "video": "present" if video else "none",
        "bit_depth": depth,
        "sound": "audible" if peak >= SILENT else "silent",
        # A hair above full scale is what rounding leaves.
        "amplitude": math.ceil(peak * 100 - 1e-3) / 100,
        "channels": channels,
        "sampling_rate": rate,
        "duration": frames * 1000 // rate / 1000,
    }
