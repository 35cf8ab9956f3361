"""Whether a picture shows anything: one colour, or nearly, is blank."""

from __future__ import annotations

import numpy as np
from PIL import Image

NOTHING = 2.0
"""Levels of 255. A channel that deviates by less, in a picture of 64 pixels a side, shows no more than the noise of a
sensor or of compression; a dark dot of two of these pixels deviates by more.
"""
PLAINLY = 24
"""Levels of 255 between two of 64 pixels that show at once that a picture is not blank: the 64 deviate by 2 or more."""


def blank(image: Image.Image) -> bool:
    """Whether an image, as an encoder sees it, is one colour or nearly so."""
    low, high = image.resize((8, 8), Image.Resampling.NEAREST).convert("L").getextrema()
    if high - low >= PLAINLY:  # pyright: ignore[reportOperatorIssue]  of one band these are two numbers
        return False
    pixels = np.asarray(image.resize((64, 64), Image.Resampling.BOX), np.float32)
    return bool(pixels.std((0, 1)).max() < NOTHING)
