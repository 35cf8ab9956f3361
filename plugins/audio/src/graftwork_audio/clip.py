"""The value that audio has everywhere in this plugin: samples that never travel without their rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graftwork import Value
from graftwork_audio.levels import Levels, levels


@dataclass(frozen=True, eq=False)
class Clip:
    """A piece of sound.

    samples: `(C, T)` float32, full scale being -1 to 1 (float files may pass it). rate: samples per second, Hz.
    """

    samples: npt.NDArray[np.float32]
    rate: int

    def facts(self) -> dict[str, Value]:
        """The facts that a contract asks for."""
        return facts_of(self.rate, *self.samples.shape, levels([self.samples.T]), 32)


def facts_of(
    rate: int, channels: int, frames: int, found: Levels, depth: Value, video: bool = False
) -> dict[str, Value]:
    """The facts of `frames` samples per channel at `rate` Hz, of these levels, stored in `depth` bits.

    video: whether pictures go with the sound.

    The amplitude is the peak rounded up to hundredths.

    The duration, in seconds, is cut to whole milliseconds, not rounded: a clip that is said to last as long as
    an encoder needs must do so after resampling too.
    """
    return {
        "video": "present" if video else "none",
        "bit_depth": depth,
        "sound": found.sound,
        "clipping": found.clipping,
        # A hair above full scale is what rounding leaves.
        "amplitude": math.ceil(found.peak * 100 - 1e-3) / 100,
        "channels": channels,
        "sampling_rate": rate,
        "duration": frames * 1000 // rate / 1000,
    }
