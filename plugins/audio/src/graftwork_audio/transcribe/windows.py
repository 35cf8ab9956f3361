"""The overlapping windows that an encoder reads of a long clip, and the frames that count in each."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

GRID = 0.12
"""Seconds between the places where windows may begin: a whole number of frames of 10, 12, 15, 20, 24, 30, 40 and 60 ms,
so that frames of two windows fall on each other."""
OVERLAP = 0.25
"""The part of a window that the next one reads again, so that no frame is read without what is around it."""

ASIDE = 1e-6
"""Seconds from the middle of an overlap to where the next window counts, so that no middle of a frame falls there and
rounding decides whether it counts twice or never."""


@dataclass(frozen=True)
class Cut:
    """A window, from begin to end, and the part of it that counts, from `first` to `last`; seconds of the clip."""

    begin: float
    end: float
    first: float
    last: float


def cuts(duration: float, longest: float) -> list[Cut]:
    """Windows of at most `longest` that cover `duration`; where two overlap, each counts up to the middle. The last
    one reaches back where too little is left for a whole one."""
    if duration <= longest:
        return [Cut(0.0, duration, 0.0, math.inf)]
    hop = max(1, math.floor(longest * (1 - OVERLAP) / GRID + 1e-9)) * GRID
    starts = [hop * number for number in range(math.ceil((duration - longest) / hop))]
    starts.append(math.ceil((duration - longest) / GRID - 1e-9) * GRID)
    ends = [min(start + longest, duration) for start in starts]
    middles = [(end + begin) / 2 + ASIDE for end, begin in zip(ends, starts[1:], strict=False)]
    bounds = itertools.pairwise([0.0, *middles, math.inf])
    return [Cut(begin, end, *bound) for begin, end, bound in zip(starts, ends, bounds, strict=True)]
