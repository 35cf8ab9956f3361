"""The value that time series have everywhere in this plugin: points that never travel without their rate."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graftwork import Value

STRETCH = 16
"""Points in a row that are looked at together."""
STILL = 0.005
"""The part of the whole range within which a stretch of points is still: less than the noise of any sensor at work."""


@dataclass(frozen=True, eq=False)
class Series:
    """Points at even steps of time.

    values: `(T, C)` float64, NaN where one is missing, in whatever units the channels have. rate: points per second,
    Hz.
    """

    values: npt.NDArray[np.float64]
    rate: float

    def flat(self) -> float:
        """The part of the stretches, 0..1, in which nothing changes; the mean of the channels. One with a gap moves."""
        span = np.nanmax(self.values, axis=0) - np.nanmin(self.values, axis=0)
        stretches = np.lib.stride_tricks.sliding_window_view(self.values, min(STRETCH, len(self.values)), axis=0)
        return float((stretches.max(-1) - stretches.min(-1) <= STILL * span).mean())

    def facts(self) -> dict[str, Value]:
        """The facts that a contract asks for.

        The part of the values that is missing is rounded up to whole per cent, so that it is 0 only where none is. The
        duration, points over rate in seconds, is cut to whole milliseconds: one that is said to last as long as an
        encoder needs must do so after resampling too.
        """
        points, channels = self.values.shape
        missing = np.isnan(self.values)
        known = np.where(missing, np.nanmax(self.values, axis=0), self.values)
        return {
            "missing_values": math.ceil(100 * missing.mean()),
            "signal": "varying" if bool(np.ptp(known, axis=0).any()) else "constant",
            "sampling_rate": int(self.rate) if float(self.rate).is_integer() else self.rate,
            "channels": channels,
            "duration": math.floor(points * 1000 / self.rate + 1e-6) / 1000,
        }
