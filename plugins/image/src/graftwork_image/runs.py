"""Runs of pixels, COCO's way to write masks: lengths of what is outside and inside in turn, column by column.

The compressed text is that of the COCO API (Lin et al. 2014, "Microsoft COCO"): each length, from the fourth on less
the one two before it, as a signed number of 5 bits a character, the lowest first; 32 says that more follow, and 48 is
added.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def runs_of(inside: np.ndarray) -> tuple[int, ...]:
    """The runs of an array `(H, W)` of booleans, of which the first is outside and may be of no pixel."""
    flat = np.asarray(inside, bool).ravel(order="F")
    turns = np.flatnonzero(np.diff(flat, prepend=False)) if flat.size else np.zeros(0, int)
    return tuple(np.diff(turns, prepend=0, append=flat.size).tolist())


def inside_of(runs: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Booleans `(H, W)` of an image of `size` (width and height). Raises `ValueError` if the runs are not as many
    pixels.
    """
    width, height = size
    lengths = np.asarray(runs, np.int64)
    if (lengths < 0).any() or lengths.sum() != width * height:
        raise ValueError(f"runs of {int(lengths.sum())} pixels for an image of {width} x {height}")
    inside = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return inside.reshape((height, width), order="F")


def compressed(runs: Sequence[int]) -> str:
    """Runs as the text that COCO files hold."""
    signs: list[str] = []
    for place, length in enumerate(runs):
        value, more = length - (runs[place - 2] if place > 2 else 0), True
        while more:
            low, value = value & 31, value >> 5
            more = value != (-1 if low & 16 else 0)
            signs.append(chr(low + 32 * more + 48))
    return "".join(signs)


def decompressed(text: str) -> tuple[int, ...]:
    """Runs from their text. Raises `ValueError` for a text that is none, or gives a length below 0."""
    runs: list[int] = []
    value = shift = 0
    for sign in text:
        code = ord(sign) - 48
        if not 0 <= code < 64 or shift > 60:
            raise ValueError(f"'{sign}' is no sign of compressed runs")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
        if runs[-1] < 0:
            raise ValueError(f"a run of {runs[-1]} pixels")
    if shift:
        raise ValueError("the text of the runs is cut short")
    return tuple(runs)
