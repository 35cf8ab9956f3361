"""The bodies of the converters, which come in the order of the modality's facts: gaps, rate, channels, length."""

import math
from fractions import Fraction

import numpy as np
from scipy.signal import resample_poly

from graftwork import Value, Window
from graftwork_time_series.series import Series

LARGEST_TERM = 2_000
"""Of the ratio of two rates: the filter has some twenty times as many taps."""


def fill(series: Series, seen: Value, to: Value) -> Series:
    """Missing values by straight lines between the nearest known ones of the channel; at the ends, by the nearest."""
    values = series.values.copy()
    place = np.arange(len(values))
    for channel in values.T:
        missing = np.isnan(channel)
        channel[missing] = np.interp(place[missing], place[~missing], channel[~missing])
    return Series(values, series.rate)


def resample(series: Series, seen: Value, to: Value) -> Series:
    """The series at `to` Hz: scipy's polyphase filter, of linear phase, below the lower half rate.

    `(T, C)` at `seen` Hz becomes `(ceil(T * to / seen), C)`. Beyond the ends it goes on with the line through them. The
    ratio of rates without a small common one is taken at the nearest, which moves times by less than a thousandth.
    """
    ratio = _ratio(float(seen), float(to))
    values = resample_poly(series.values, ratio.numerator, ratio.denominator, axis=0, padtype="line")
    length = math.ceil(len(series.values) * float(to) / float(seen) - 1e-6)
    values = np.pad(values, ((0, max(0, length - len(values))), (0, 0)), mode="edge")[:length]
    return Series(values, float(to))


def by_channel(series: Series, seen: Value, to: Value) -> list[Window]:
    """Each channel as a series of its own, all of one weight (channel independence, as in PatchTST; Nie et al. 2023,
    arXiv:2211.14730): `(T, C)` to C times `(T, 1)`."""
    channels = np.split(series.values, series.values.shape[1], axis=1)
    return [Window(Series(channel, series.rate), 1 / len(channels)) for channel in channels]


def windows(series: Series, seen: Value, to: Value) -> list[Window]:
    """The series in windows of `to` seconds; the last one reaches back where too little is left for a whole one."""
    whole, length = len(series.values), int(float(to) * series.rate + 1e-6)
    return [
        Window(
            Series(series.values[max(0, min(start, whole - length)) : start + length], series.rate),
            min(length, whole - start) / whole,
        )
        for start in range(0, whole, length)
    ]


def _ratio(seen: float, to: float) -> Fraction:
    """`to / seen`, or the nearest fraction whose larger term is at most `LARGEST_TERM`."""
    if to <= seen:
        return Fraction(to / seen).limit_denominator(LARGEST_TERM)
    return 1 / Fraction(seen / to).limit_denominator(LARGEST_TERM)
