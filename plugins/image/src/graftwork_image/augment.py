"""Images changed by chance for training: a random part of one, mirrored half of the time, its colours shaken a little.

torchvision's functions of colours with our own numbers: its random transforms draw from the generator of the whole
process, which other threads use at the same time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, cast

from PIL import Image
from torchvision.transforms.v2 import functional

from graftwork_image.geometry import Placement, Size

SMALLEST = 0.35
"""The least part of the area that is kept; torchvision's default, meant for millions of images, is 0.08."""

ASPECT = (3 / 4, 4 / 3)
COLOUR = 0.2


def build() -> Callable[[Image.Image, random.Random], Image.Image]:
    def change(image: Image.Image, rng: random.Random) -> Image.Image:
        return shaken(moved(image.size, rng).image(image), rng)

    return change


def moved(size: Size, rng: random.Random) -> Placement:
    """Where a random part of an image goes that becomes a square of its shorter side, mirrored half of the time: what
    lies in the image goes the same way.
    """
    width, height = size
    area = width * height * rng.uniform(SMALLEST, 1)
    aspect = math.exp(rng.uniform(*map(math.log, ASPECT)))
    across, down = (
        min(width, max(1, round(math.sqrt(area * aspect)))),
        min(height, max(1, round(math.sqrt(area / aspect)))),
    )
    left, top = rng.randint(0, width - across), rng.randint(0, height - down)
    side = min(size)
    found = Placement(size).cropped(left, top, across, down).resized((side, side))
    return found.mirrored() if rng.random() < 0.5 else found


def shaken(image: Image.Image, rng: random.Random) -> Image.Image:
    """An image with other brightness, contrast and saturation; nothing in it moves."""
    for adjust in (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation):
        image = cast(Image.Image, adjust(cast(Any, image), 1 + rng.uniform(-COLOUR, COLOUR)))
    return image
