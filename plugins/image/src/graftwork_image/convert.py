"""The bodies of the image converters: Pillow image in, Pillow image out. Neither looks at what the other changes."""

from __future__ import annotations

import numpy as np
from PIL import Image

WHITE = (255, 255, 255, 255)

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
    """Any accepted mode to RGB: transparency over white, 16 bits scaled (not clipped) to 8."""
    if image.mode.startswith("I"):
        scaled = np.asarray(image, dtype=np.float64) / 257
        return Image.fromarray(scaled.round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        image = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image).convert("RGB")
    return image.convert("RGB")


def exif_turn(image: Image.Image, seen: int, to: int) -> Image.Image:
    """Turn upright what was stored in orientation `seen` (2 to 8)."""
    return image.transpose(TURNS[seen])
