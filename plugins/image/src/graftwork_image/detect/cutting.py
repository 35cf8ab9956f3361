"""From an image and its boxes to what an encoder reads at once: resized, cut into tiles, or changed for training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch

from graftwork import Box, Boxes
from graftwork_image.detect.assignment import PieceBoxes
from graftwork_image.geometry import ORIENTATIONS, Placement, Size, clipped, upright

LEFT = 1 / 3
"""A box of which less is left in a piece is neither right nor wrong there."""

OVERLAP = 0.25
"""The part of a tile that it shares with the next one, at least."""

SCALE = (0.7, 1.5)
"""How much training changes the size."""


@dataclass(frozen=True)
class Place:
    """Where a piece lies. placement: from the upright image to the piece. inner: whether its left, top, right and
    bottom edge are cuts, beyond which the image goes on. shared: pixels of the image that it shares with the next tile.
    """

    placement: Placement
    inner: tuple[bool, bool, bool, bool] = (False, False, False, False)
    shared: int = 0

    @property
    def size(self) -> Size:
        return self.placement.size


def shown(label: Boxes, facts: Mapping[str, Any]) -> Boxes:
    """The boxes in pixels of the image as turned upright, cut at its edges; those without area there are left out.

    facts: of the image's header. Raises `DataError` for boxes that were drawn on an image of another size.
    """
    moved = _upright(label, facts).label(label)
    corners, share = clipped(_corners(moved.boxes), _upright(label, facts).size)
    there = zip(moved.boxes, corners.tolist(), share.tolist(), strict=True)
    boxes = tuple(Box(box.label, *at, ignored=box.ignored) for box, at, kept in there if kept > 0)
    return Boxes(boxes, moved.size)


def in_piece(label: Boxes, facts: Mapping[str, Any], names: Sequence[str], placement: Placement) -> PieceBoxes:
    """The boxes of an image in a piece of it. placement: from the upright image to the piece."""
    corners, share = clipped(_upright(label, facts).then(placement).boxes(_corners(label.boxes)), placement.size)
    there = share > 0
    ignored = np.array([box.ignored for box in label.boxes], bool) | (share < LEFT)
    numbers = np.array([names.index(box.label) for box in label.boxes], np.int64)
    return PieceBoxes(
        torch.from_numpy(corners[there]).float(), torch.from_numpy(numbers[there]), torch.from_numpy(ignored[there])
    )


def resized(size: Size, side: int) -> Placement:
    """An image with a longer side of `side` pixels."""
    return Placement(size).resized(_longer_to(size, side))


def tiles(size: Size, tile: int, side: int | None) -> Iterator[Place]:
    """Tiles of `tile` pixels at full resolution that overlap. side: of the images that the encoder reads, if it reads
    no others."""
    width, height = size
    for top in _starts(height, tile):
        for left in _starts(width, tile):
            right, bottom = min(left + tile, width), min(top + tile, height)
            cut = Placement(size).cropped(left, top, right - left, bottom - top)
            if side is not None:
                cut = cut.resized(_longer_to(cut.size, side))
            yield Place(cut, (left > 0, top > 0, right < width, bottom < height), round(OVERLAP * tile))


def changed(size: Size, side: int, whole: bool, orientations: int, rng: Random) -> Placement:
    """A random part of an image, larger or smaller than it is asked about, turned as `orientations` allows. whole:
    whether it is asked about with a longer side of `side` pixels, and not in tiles of it."""
    target = _longer_to(size, side) if whole else size
    window = target if whole else (side, side)
    by = rng.uniform(*SCALE)
    larger = tuple(max(1, round(length * by)) for length in target)
    width, height = (min(a, b) for a, b in zip(larger, window, strict=True))
    left, top = (rng.randint(0, a - b) for a, b in zip(larger, (width, height), strict=True))
    placement = Placement(size).resized((larger[0], larger[1])).cropped(left, top, width, height)
    return placement.turned(rng.choice(ORIENTATIONS[orientations]))


def _longer_to(size: Size, side: int) -> Size:
    longer = max(size)
    return max(1, round(size[0] * side / longer)), max(1, round(size[1] * side / longer))


def _starts(length: int, tile: int) -> list[int]:
    """Where tiles begin, evenly from one end to the other."""
    if length <= tile:
        return [0]
    count = -(-(length - tile) // max(1, tile - round(OVERLAP * tile))) + 1
    return [round(place * (length - tile) / (count - 1)) for place in range(count)]


def _upright(label: Boxes, facts: Mapping[str, Any]) -> Placement:
    stored = (int(facts["width"]), int(facts["height"]))
    return upright(label.size, stored, int(facts["orientation"]))


def _corners(boxes: Sequence[Box]) -> np.ndarray:
    return np.array([(box.xmin, box.ymin, box.xmax, box.ymax) for box in boxes], np.float64).reshape(-1, 4)
