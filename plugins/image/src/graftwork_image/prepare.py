"""The standard preparation of images, made from a spec's numbers: resize, centre crop, scale to 0..1, normalise.

Pillow resizes with antialiasing, as torchvision does on Pillow images, so torchvision need not be loaded.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from graftwork import BackboneSpec, State

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def build(spec: BackboneSpec) -> Callable[[list[Image.Image]], State]:
    """`prepare(images) -> State` with hidden `(B, 3, crop, crop)` float32, by `spec.preparation`:

    resize (pixels of the shorter side), crop (pixels), interpolation ("bilinear" or "bicubic"), mean and std.
    """
    numbers = spec.preparation
    resampling = RESAMPLING[numbers["interpolation"]]
    mean = torch.tensor(numbers["mean"]).view(1, 3, 1, 1)
    std = torch.tensor(numbers["std"]).view(1, 3, 1, 1)

    def one(image: Image.Image) -> np.ndarray:
        resized = image.resize(_shorter_to(image.size, numbers["resize"]), resampling)
        return np.asarray(_centre(resized, numbers["crop"]))

    def prepare(images: list[Image.Image]) -> State:
        pixels = torch.from_numpy(np.stack([one(image) for image in images])).permute(0, 3, 1, 2)
        return State((pixels.float().div(255) - mean) / std)

    return prepare


def _shorter_to(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    width, height = size
    if width <= height:
        return shorter, int(shorter * height / width)
    return int(shorter * width / height), shorter


def _centre(image: Image.Image, side: int) -> Image.Image:
    left, top = round((image.width - side) / 2), round((image.height - side) / 2)
    return image.crop((left, top, left + side, top + side))
