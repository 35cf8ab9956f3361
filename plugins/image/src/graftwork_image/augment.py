"""Images changed by chance for training: a random part of one, mirrored half of the time, its colours shaken a little.

torchvision's functions with our own numbers: its random transforms draw from the generator of the whole process, which
other threads use at the same time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

SMALLEST = 0.35
"""The least part of the area that is kept; torchvision's default, meant for millions of images, is 0.08."""

ASPECT = (3 / 4, 4 / 3)
COLOUR = 0.2


def build() -> Callable[[Image.Image, random.Random], Image.Image]:
    def change(image: Image.Image, rng: random.Random) -> Image.Image:
        area = image.width * image.height * rng.uniform(SMALLEST, 1)
        aspect = math.exp(rng.uniform(*map(math.log, ASPECT)))
        width = min(image.width, max(1, round(math.sqrt(area * aspect))))
        height = min(image.height, max(1, round(math.sqrt(area / aspect))))
        left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
        side = min(image.size)
        how = v2.InterpolationMode.BILINEAR
        changed = functional.resized_crop(image, top, left, height, width, [side, side], how, antialias=True)
        if rng.random() < 0.5:
            changed = functional.horizontal_flip(changed)
        for adjust in (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation):
            changed = adjust(changed, 1 + rng.uniform(-COLOUR, COLOUR))
        return changed

    return change
