"""Images made to measure, for the conformance kit: of a mode, a depth, a size, turned, in several frames."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping

import numpy as np
from PIL import Image

from graftwork import Raw, Value
from graftwork_image.reader import ORIENTATION

SIDES = (40, 120)
"""Pixels of a side that is not asked for: from, to."""

FORMATS = {"CMYK": "TIFF", "LAB": "TIFF", "YCbCr": "TIFF", "F": "TIFF", "I": "TIFF", "RGBX": "TIFF"}
"""What holds a mode where PNG does not."""


def build(facts: Mapping[str, Value], rng: random.Random) -> Raw:
    """An upright RGB image of 8 bits in one frame, of chance colours. Raises `LookupError` for what no file holds."""
    short = int(facts.get("short_side", 0))
    width = int(facts.get("width", 0)) or short or rng.randint(*SIDES)
    height = int(facts.get("height", 0)) or (short and width + rng.randint(0, 40)) or rng.randint(*SIDES)
    depth, mode = int(facts.get("bit_depth", 8)), str(facts.get("mode", ""))
    mode = mode or {1: "1", 16: "I;16", 32: "F"}.get(depth, "RGB")
    frames, turn = int(facts.get("frames", 1)), int(facts.get("orientation", 1))
    if frames < 1 or not 1 <= turn <= 8 or min(width, height) < 1:
        raise LookupError("there is no such image")
    images = [_picture(mode, width, height, rng) for _ in range(frames)]
    made = io.BytesIO()
    if frames > 1:
        images[0].save(made, "TIFF", save_all=True, append_images=images[1:])
        return Raw("sample.tif", value=made.getvalue())
    kind = FORMATS.get(mode, "PNG")
    exif = Image.Exif()
    if turn != 1:
        exif[ORIENTATION] = turn
    try:
        images[0].save(made, kind, **({"exif": exif} if turn != 1 else {}))
    except OSError as error:
        raise LookupError(f"no file holds an image of mode {mode}") from error
    return Raw(f"sample.{kind.lower()}", value=made.getvalue())


def _picture(mode: str, width: int, height: int, rng: random.Random) -> Image.Image:
    """Soft spots of chance colours and a little noise."""
    numbers = np.random.default_rng(rng.getrandbits(32))
    spots = Image.fromarray(numbers.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((width, height))
    noisy = np.asarray(spots).astype(int) + numbers.integers(-8, 9, (height, width, 3))
    image = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
    if mode == "I;16":
        return Image.fromarray((np.asarray(image.convert("L")).astype(np.uint16)) * 257)
    if mode == "LAB":
        from PIL import ImageCms

        rgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        found = ImageCms.profileToProfile(image, rgb, lab, outputMode="LAB")
        assert found is not None
        return found
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(numbers.integers(0, 256, (height, width), dtype=np.uint8)))
    try:
        return image.convert(mode)
    except ValueError as error:
        raise LookupError(f"there is no image of mode {mode}") from error
