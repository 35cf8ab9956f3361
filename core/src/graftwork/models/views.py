"""What heads read of a state: a sequence with the place of each position in the input, a map, a pyramid of maps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from graftwork.errors import UsageError

STRIDES = (4, 8, 16, 32)
"""The strides of a pyramid, in pixels."""


@dataclass(frozen=True)
class SequenceView:
    """A vector for each position of a sequence, and the part of the input that it stands for.

    hidden: `(B, T, D)` float32. mask: `(B, T)` bool, False for padding and for positions that stand for no part of the
    input (a class token). spans: `(B, T, 2)` float64, from and to: characters of the text, seconds of the clip; zeros
    where the mask is False.
    """

    hidden: Tensor
    mask: Tensor
    spans: Tensor


@dataclass(frozen=True)
class MapView:
    """A vector for each position of a map, channels first and without class tokens.

    hidden: `(B, C, H, W)` float32. stride: pixels of the prepared image from one position to the next.
    """

    hidden: Tensor
    stride: int


def map_view(hidden: Tensor, pixels: Tensor) -> MapView:
    """The view of a map `(B, C, H, W)` that was made of prepared pixels `(B, 3, h, w)`.

    Raises `UsageError` for what is no map, as after a stage that takes the mean, or has no stride in whole pixels.
    """
    if hidden.ndim == 4:
        high, wide = hidden.shape[-2:]
        stride = max(1, round(pixels.shape[-1] / wide))
        if (high, wide) == (-(-pixels.shape[-2] // stride), -(-pixels.shape[-1] // stride)):
            return MapView(hidden.float(), stride)
    raise UsageError(
        f"A state {tuple(hidden.shape[1:])} of {pixels.shape[-2]} x {pixels.shape[-1]} pixels is no map with a stride.",
        "Name an earlier stage: --tap STAGE",
    )


def map_of_tokens(tokens: Tensor, pixels: Tensor) -> MapView:
    """The view of the tokens `(B, T, D)` of square patches, row by row; what comes before them (class tokens,
    registers) is dropped.

    Raises `UsageError` where no number of patches fits the pixels.
    """
    high, wide = pixels.shape[-2:]
    for first in range(min(9, tokens.shape[1])):
        patches = tokens.shape[1] - first
        side = math.isqrt(high * wide // patches)
        if side and high % side == wide % side == 0 and (high // side) * (wide // side) == patches:
            grid = tokens[:, first:].transpose(1, 2).unflatten(2, (high // side, wide // side))
            return MapView(grid.float(), side)
    raise UsageError(
        f"{tokens.shape[1]} tokens of {high} x {wide} pixels are no map of square patches.",
        "Choose another encoder: graftwork backbones",
    )


def pyramid_of(maps: Mapping[int, MapView], pixels: Tensor) -> dict[int, MapView]:
    """A map at each of the strides 4 to 32 of prepared pixels `(B, 3, h, w)`.

    One that no stage gives is the nearest one made larger or smaller: the simple pyramid of a plain Vision Transformer
    (Li et al. 2022, arXiv:2203.16527, section 3), without parameters; its deconvolutions are left to the head.
    """
    return {stride: _at(maps[nearest(maps, stride)], stride, pixels) for stride in STRIDES}


def nearest(strides: Iterable[int], stride: int) -> int:
    """Of the strides of maps the one that a map at `stride` is made of where it has to be made."""
    return min(sorted(strides), key=lambda one: abs(math.log2(one / stride)))


def _at(view: MapView, stride: int, pixels: Tensor) -> MapView:
    if view.stride == stride:
        return view
    size = (-(-pixels.shape[-2] // stride), -(-pixels.shape[-1] // stride))
    if view.stride < stride:
        return MapView(functional.adaptive_avg_pool2d(view.hidden, size), stride)
    return MapView(functional.interpolate(view.hidden, size=size, mode="bilinear", align_corners=False), stride)
