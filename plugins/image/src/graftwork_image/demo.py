"""The image demo: scikit-learn's handwritten digits, 8 x 8 grey pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from graftwork_image.convert import to_rgb

EACH = 60
"""Images of each digit, the first ones of the set: of so many a late stage of an ImageNet encoder tells .95."""


def digits(folder: Path) -> Path:
    """Write the digits below `folder` as PNG files in class folders (UCI ML hand-written digits, via scikit-learn)."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    for digit in range(10):
        place = folder / str(digit)
        place.mkdir(parents=True, exist_ok=True)
        for number, row in enumerate(pixels[labels == digit][:EACH]):
            grey = (row.reshape(8, 8) * (255 / 16)).round().astype(np.uint8)
            Image.fromarray(grey).save(place / f"{number:03}.png")
    return folder


def pixels(values: list[Image.Image]) -> np.ndarray:
    """Grey pixels, 0..1, of images made 16 x 16 at the most: `(N, F)` float32."""
    side = min(16, min(min(image.size) for image in values))
    grey = [to_rgb(image, image.mode, "RGB").convert("L") for image in values]
    rows = [np.asarray(image.resize((side, side), Image.Resampling.BILINEAR)).ravel() for image in grey]
    return np.stack(rows).astype(np.float32) / 255
