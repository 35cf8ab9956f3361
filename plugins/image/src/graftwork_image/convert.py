"""The bodies of the image converters: Pillow image in, Pillow image out. Neither looks at what the other changes."""

from __future__ import annotations

import numpy as np
from PIL import Image

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How an image is turned upright for each value of EXIF tag 274 (EXIF 2.32, table 4)."""


def to_rgb(image: Image.Image, seen: str, to: str) -> Image.Image:
    """Any accepted mode to RGB: transparency over white, deeper grey levels scaled (not clipped) to 8 bits."""
    if image.mode == "F" or image.mode.startswith("I"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        straight = {"RGBa": "RGBA", "La": "LA"}.get(image.mode)
        # A copy, because Pillow writes a palette's transparency into the image that it converts.
        clear = (image.convert(straight) if straight else image.copy()).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return _without_tags(image.convert("RGB"))


def to_8_bit(image: Image.Image, seen: int, to: int) -> Image.Image:
    """Deeper grey levels scaled (not clipped) to 8 bits; colours that Pillow has scaled while it decoded stay."""
    if image.mode.startswith("I;16") and seen < 16:
        return _eight_bits(image, 2**seen - 1)
    return _eight_bits(image) if image.mode == "F" or image.mode.startswith("I") else image


def first_frame(image: Image.Image, seen: int, to: int) -> Image.Image:
    """The frame that the reader decoded, which is the first; nothing of the others was read."""
    return image


def exif_turn(image: Image.Image, seen: int, to: int) -> Image.Image:
    """Turn upright what was stored in orientation `seen` (2 to 8)."""
    return _without_tags(image.transpose(TURNS[seen]))


def _eight_bits(image: Image.Image, most: int = 65535) -> Image.Image:
    """Grey levels 0..most (modes I), 0..1 or 0..255 (F) to L, or to LA where one level is named as transparent.

    An image with levels outside is stretched from its lowest to its highest; NaN counts as the lowest.
    """
    levels = np.asarray(image).astype(np.float64)
    finite = levels[np.isfinite(levels)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    for top in (1.0, 255.0) if image.mode == "F" else (float(most),):
        if low >= 0 and high <= top:
            low, high = 0.0, top
            break
    scaled = np.nan_to_num((levels - low) / ((high - low) or 1.0), nan=0.0).clip(0, 1)
    grey = Image.fromarray((scaled * 255).round().astype(np.uint8))
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(levels == key, 0, 255).astype(np.uint8)))
    return grey


def _without_tags(image: Image.Image) -> Image.Image:
    # What the tags say has been read as facts, and some of it is no longer true.
    image.info = {}
    return image
