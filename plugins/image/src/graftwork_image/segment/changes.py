"""Pictures and their masks changed by chance for training, both alike."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from graftwork_image.augment import shaken
from graftwork_image.geometry import ORIENTATIONS, Placement, Size
from graftwork_image.masks import IGNORED

SCALE = (3 / 4, 4 / 3)

KNOTS, BENT = 64, 6.0
"""Elastic: pixels between two points that are moved by chance, and by how many (Ronneberger et al. 2015 move a 3 x 3
grid by a deviation of 10 pixels)."""


def changed(
    image: Image.Image, mask: np.ndarray, window: Size, rng: Random, orientations: int, elastic: bool,
    resampling: Image.Resampling,
) -> tuple[Image.Image, np.ndarray]:  # fmt: skip
    """A part of a picture with its mask `(H, W)`: scaled by 3/4 to 4/3, cut to at most `window`, turned and mirrored as
    `orientations` allows, bent where it is elastic; its colours shaken."""
    scale = math.exp(rng.uniform(*map(math.log, SCALE)))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    width, height = min(size[0], window[0]), min(size[1], window[1])
    left, top = rng.randint(0, size[0] - width), rng.randint(0, size[1] - height)
    moved = Placement(image.size).resized(size).cropped(left, top, width, height)
    moved = moved.turned(rng.choice(ORIENTATIONS[orientations]))
    image, mask = moved.image(image, resampling), moved.mask(mask, IGNORED)
    if elastic:
        image, mask = _bent(image, mask, rng)
    return shaken(image, rng), mask


def _bent(image: Image.Image, mask: np.ndarray, rng: Random) -> tuple[Image.Image, np.ndarray]:
    width, height = image.size
    numbers = torch.Generator().manual_seed(rng.getrandbits(63))
    knots = torch.randn(1, 2, height // KNOTS + 3, width // KNOTS + 3, generator=numbers) * BENT
    shift = functional.interpolate(knots, size=(height, width), mode="bicubic", align_corners=True)[0]
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    grid = torch.stack([(columns + shift[0]) * 2 / width - 1, (rows + shift[1]) * 2 / height - 1], -1)[None]

    def at(pixels: torch.Tensor, mode: str) -> torch.Tensor:
        return functional.grid_sample(pixels[None].float(), grid, mode, padding_mode="reflection", align_corners=False)[
            0
        ]

    pixels = at(torch.from_numpy(np.array(image)).permute(2, 0, 1), "bilinear").round().clamp(0, 255).byte()
    classes = at(torch.from_numpy(mask.copy())[None], "nearest")[0].byte()
    return Image.fromarray(pixels.permute(1, 2, 0).numpy()), classes.numpy()
