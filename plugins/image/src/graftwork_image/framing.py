"""Images as tasks read them whose answers lie in the image: at a size of the task's, without a centre crop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from graftwork import Backbone, BackboneSpec, State, UsageError
from graftwork_image.geometry import ORIENTATIONS
from graftwork_image.prepare import RESAMPLING

DEEPEST = 32
"""Sides are padded to a multiple of the largest stride of a pyramid, so that each map covers the image exactly."""


def prepared(spec: BackboneSpec, images: Sequence[Image.Image]) -> State:
    """RGB images as one batch `(B, 3, H, W)`: scaled and normalised as the encoder was pretrained, not resized; padded
    at the right and the bottom with the mean colour, to the largest of them and to a multiple of 32."""
    numbers = spec.preparation
    mean = torch.tensor(numbers["mean"]).view(3, 1, 1)
    std = torch.tensor(numbers["std"]).view(3, 1, 1)
    black, white = numbers["range"]
    height, width = (
        -(-max(sides) // DEEPEST) * DEEPEST for sides in zip(*((i.height, i.width) for i in images), strict=True)
    )
    rows = []
    for image in images:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255)
        normal = (pixels.mul(white - black).add(black) - mean) / std
        rows.append(functional.pad(normal, (0, width - image.width, 0, height - image.height)))
    return State(torch.stack(rows))


def resampling(spec: BackboneSpec) -> Image.Resampling:
    """How the encoder's images are resized."""
    return RESAMPLING[spec.preparation["interpolation"]]


def only_side(backbone: Backbone) -> int | None:
    """The side in pixels of the square images that are all an encoder reads (its positions are learned for so many
    patches); None where it reads any size. Found by trying."""
    side = int(backbone.spec.preparation["crop"])
    state = State(torch.zeros(1, 3, side + DEEPEST, side))
    try:
        with torch.no_grad():
            for stage in backbone.stages()[:2]:
                state = stage(state)
    except (RuntimeError, ValueError, AssertionError):
        return side
    return None


def check_size(size: int) -> None:
    """Raises `UsageError` for a size that no encoder reads."""
    if not 32 <= size <= 8192:
        raise UsageError(
            f"The task option size={size} is not accepted; 32 to 8192 pixels are.", "Write: --task-option size=512"
        )


def check_orientations(orientations: int) -> None:
    """Raises `UsageError` for a number that `geometry.ORIENTATIONS` does not know."""
    if orientations not in ORIENTATIONS:
        raise UsageError(
            f"The task option orientations={orientations} is not accepted; {', '.join(map(str, [*ORIENTATIONS][:-1]))} "
            f"and {[*ORIENTATIONS][-1]} are.",
            "Write: --task-option orientations=8",
        )
