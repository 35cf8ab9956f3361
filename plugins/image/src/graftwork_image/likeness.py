"""Near duplicates among images: pHash, a cosine transform of small grey pixels, by the library imagehash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import imagehash
import numpy as np

from graftwork import Likeness, Raw
from graftwork_image.blank import blank
from graftwork_image.convert import TURNS, to_rgb
from graftwork_image.reader import small

FULL = 24
"""Bits that are set where a picture has detail: half of 64, as the hash splits at the median."""


class ImageLikeness(Likeness):
    """A signature is the 64 bits of pHash as `(4,)` uint16; two images are alike by the part of bits that they share.

    At most 4 differing bits count, so that another size, format or quality of one picture is found. An image with too
    little in it (one colour, a gradient) has no signature.
    """

    bands = 4
    threshold = 60 / 64

    def signature(self, raw: Raw) -> np.ndarray | None:
        return self.inspect(raw)[0]

    def inspect(self, raw: Raw) -> tuple[np.ndarray | None, Mapping[str, float]]:
        image, turn = small(raw, 64)
        # Few pixels are enough, and conversions cost by the pixel.
        image.thumbnail((128, 128))
        rgb = to_rgb(image, image.mode, "RGB")
        grey = (rgb.transpose(TURNS[turn]) if turn in TURNS else rgb).convert("L")
        bits = imagehash.phash(grey).hash.ravel()
        signature = np.packbits(bits).view(np.uint16) if bits.sum() >= FULL else None
        return signature, {"blank": 1.0} if blank(rgb) else {}

    def similarity(self, one: Any, other: Any) -> np.ndarray:
        differing = np.bitwise_count(one ^ other).sum(1)
        return 1 - differing / 64
