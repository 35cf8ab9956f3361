"""The value that audio has everywhere in this plugin: samples that never travel without their rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graftwork import Value


@dataclass(frozen=True, eq=False)
class Clip:
    """A piece of sound.

    samples: `(C, T)` float32, full scale being -1 to 1 (float files may pass it). rate: samples per second, Hz.
    """

    samples: npt.NDArray[np.float32]
    rate: int

    def facts(self) -> dict[str, Value]:
        """The facts that a contract asks for."""
        return facts_of(self.rate, *self.samples.shape)


def facts_of(rate: int, channels: int, frames: int) -> dict[str, Value]:
    """The facts of `frames` samples per channel at `rate` Hz.

    The duration, in seconds, is cut to whole milliseconds, not rounded: a clip that is said to last as long as
    an encoder needs must do so after resampling too.
    """
    return {"sampling_rate": rate, "channels": channels, "duration": frames * 1000 // rate / 1000}
