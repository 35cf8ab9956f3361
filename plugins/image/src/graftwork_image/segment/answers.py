"""The mask of an answer as JSON can say it, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graftwork_image.masks import IGNORED
from graftwork_image.runs import compressed, decompressed, inside_of, runs_of


def as_runs(mask: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """`{"size": [height, width], "counts": {name: text}}` of class numbers `(H, W)`: for each class that is there its
    pixels in COCO's compressed run lengths, which COCO's own tools read as `{"size", "counts"}` too."""
    there = [(number, name) for number, name in enumerate(names) if (mask == number).any()]
    return {
        "size": list(mask.shape),
        "counts": {name: compressed(runs_of(mask == number)) for number, name in there},
    }


def from_runs(said: Mapping[str, Any], names: Sequence[str]) -> np.ndarray:
    """The class numbers `(H, W)` uint8 of what `as_runs` gave; 255 where no class is.

    Raises `ValueError` for runs of another size, and for a class that is none of `names`.
    """
    height, width = said["size"]
    mask = np.full((height, width), IGNORED, np.uint8)
    for name, text in said["counts"].items():
        mask[inside_of(decompressed(text), (width, height))] = list(names).index(name)
    return mask
