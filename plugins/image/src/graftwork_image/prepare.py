"""The standard preparation of images, made from a spec's numbers: resize, centre crop, scale to 0..1, normalise.

Pillow resizes with antialiasing, as torchvision does on Pillow images, so torchvision need not be loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from graftwork import BackboneSpec, State, UsageError
from graftwork_image.geometry import Placement, Size
from graftwork_image.reader import orientation

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

LONGEST = 100
"""Long side over short side from which only an image's middle is resized: all of a strip one pixel high would take
gigabytes, and the crop keeps the middle anyway."""


def build(spec: BackboneSpec) -> Callable[[list[Image.Image]], State]:
    """`prepare(images) -> State` with hidden `(B, 3, crop, crop)` float32, by `spec.preparation`:

    resize (pixels of the shorter side, or height and width whatever the shape), crop (pixels), interpolation
    ("bilinear" or "bicubic"), range (what black and white become before they are normalised), mean and std.
    `prepare` raises `UsageError` for an image that is not RGB, or not upright.
    """
    numbers = spec.preparation
    resampling = RESAMPLING[numbers["interpolation"]]
    mean = torch.tensor(numbers["mean"]).view(1, 3, 1, 1)
    std = torch.tensor(numbers["std"]).view(1, 3, 1, 1)
    black, white = numbers["range"]

    def one(image: Image.Image) -> np.ndarray:
        if image.mode != "RGB":
            raise UsageError(
                f"'{spec.name}' prepares RGB images; one of mode {image.mode} was given.",
                "Convert it first: image.convert('RGB')",
            )
        if (turn := orientation(image)) != 1:
            raise UsageError(
                f"'{spec.name}' prepares upright images; one of orientation {turn} was given.",
                "Turn it first: PIL.ImageOps.exif_transpose(image)",
            )
        return np.asarray(moved(image.size, numbers).image(image, resampling))

    def prepare(images: list[Image.Image]) -> State:
        pixels = torch.from_numpy(np.stack([one(image) for image in images])).permute(0, 3, 1, 2)
        return State((pixels.float().div(255).mul(white - black).add(black) - mean) / std)

    return prepare


def moved(size: Size, preparation: Mapping[str, Any]) -> Placement:
    """Where what lies in an image of a size goes when it is resized and cut by a preparation's `resize` and `crop`."""
    found, wanted, crop = Placement(size), preparation["resize"], preparation["crop"]
    longest = LONGEST * min(size)
    if isinstance(wanted, int) and max(size) > longest:
        found = _centre(found, min(size[0], longest), min(size[1], longest))
    found = found.resized(_shorter_to(found.size, wanted) if isinstance(wanted, int) else (wanted[1], wanted[0]))
    return _centre(found, crop, crop)


def _shorter_to(size: Size, shorter: int) -> Size:
    width, height = size
    if width <= height:
        return shorter, int(shorter * height / width)
    return int(shorter * width / height), shorter


def _centre(placement: Placement, width: int, height: int) -> Placement:
    """The middle of an image; where it is too small, black is added around it."""
    left, top = _start(placement.size[0], width), _start(placement.size[1], height)
    return placement.cropped(left, top, width, height)


def _start(length: int, wanted: int) -> int:
    return round((length - wanted) / 2) if length >= wanted else -((wanted - length) // 2)
