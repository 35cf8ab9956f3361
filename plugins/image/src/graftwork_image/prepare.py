"""The standard preparation of images, made from a spec's numbers: resize, centre crop, scale to 0..1, normalise.

Pillow resizes with antialiasing, as torchvision does on Pillow images, so torchvision need not be loaded.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from graftwork import BackboneSpec, State, UsageError
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
        wanted = numbers["resize"]
        longest = LONGEST * min(image.size)
        if isinstance(wanted, int) and max(image.size) > longest:
            image = _centre(image, min(image.width, longest), min(image.height, longest))
        size = _shorter_to(image.size, wanted) if isinstance(wanted, int) else (wanted[1], wanted[0])
        resized = image.resize(size, resampling)
        return np.asarray(_centre(resized, numbers["crop"], numbers["crop"]))

    def prepare(images: list[Image.Image]) -> State:
        pixels = torch.from_numpy(np.stack([one(image) for image in images])).permute(0, 3, 1, 2)
        return State((pixels.float().div(255).mul(white - black).add(black) - mean) / std)

    return prepare


def _shorter_to(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    width, height = size
    if width <= height:
        return shorter, int(shorter * height / width)
    return int(shorter * width / height), shorter


def _centre(image: Image.Image, width: int, height: int) -> Image.Image:
    """The middle of an image; where it is too small, black is added around it."""
    left, top = _start(image.width, width), _start(image.height, height)
    return image.crop((left, top, left + width, top + height))


def _start(length: int, wanted: int) -> int:
    return round((length - wanted) / 2) if length >= wanted else -((wanted - length) // 2)
