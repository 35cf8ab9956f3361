"""Pictures in the pieces that an encoder reads, and what was found in the pieces as one picture again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from graftwork_image.geometry import Placement, Size


@dataclass(frozen=True)
class Place:
    """Where a piece lies. source: the size of the upright picture. whole: that of the picture as it is read. left, top,
    size: the piece in that, not turned; without what was added to fill it up. turn: how it was turned and mirrored
    then, as an EXIF tag undoes it."""

    source: Size
    whole: Size
    left: int
    top: int
    size: Size
    turn: int = 1

    @property
    def shown(self) -> Size:
        """The size of the piece as turned."""
        return Placement(self.size).turned(self.turn).size


def read_at(source: Size, size: int) -> Size:
    """The size of a picture that is to be read with a longer side of `size` pixels; as it is for 0."""
    scale = size / max(source) if size else 1.0
    return max(1, round(source[0] * scale)), max(1, round(source[1] * scale))


def starts(length: int, tile: int, overlap: float) -> list[int]:
    """Where tiles start so that they cover a side evenly, each sharing at least that part of it with the next."""
    if length <= tile:
        return [0]
    step = max(1, int(tile * (1 - overlap)))
    count = -(-(length - tile) // step) + 1
    return [round(place * (length - tile) / (count - 1)) for place in range(count)]


def tiled(source: Size, whole: Size, tile: int, overlap: float) -> list[Place]:
    """The tiles of a picture, row by row."""
    width, height = min(whole[0], tile), min(whole[1], tile)
    return [
        Place(source, whole, left, top, (width, height))
        for top in starts(whole[1], tile, overlap)
        for left in starts(whole[0], tile, overlap)
    ]


def joined(found: Sequence[np.ndarray], places: Sequence[Place]) -> np.ndarray:
    """The number of the class of each pixel of the picture, `(H, W)` uint8.

    found: probabilities `(K, h, w)` of each piece, as turned.

    Tiles are blended: each counts fully in its middle and less towards a side that others share, so that there is no
    seam where one ends. (To take each pixel from the tile in whose middle it lies costs no less here, and shows a line
    wherever two tiles disagree.)
    """
    source, whole = places[0].source, places[0].whole
    count = found[0].shape[0]
    if len(found) == 1 and places[0].turn == 1:
        return _enlarged(np.asarray(found[0]), source)
    chances = np.zeros((count, whole[1], whole[0]), np.float32)
    total = np.zeros((whole[1], whole[0]), np.float32)
    for one, place in zip(found, places, strict=True):
        upright = _unturned(one, place)
        down = _ramp(place.top, place.size[1], whole[1])
        across = _ramp(place.left, place.size[0], whole[0])
        weight = down[:, None] * across
        here = slice(place.top, place.top + place.size[1]), slice(place.left, place.left + place.size[0])
        chances[:, *here] += upright * weight
        total[here] += weight
    return _enlarged(chances / total, source)


def _unturned(found: np.ndarray, place: Place) -> np.ndarray:
    turned = Placement(place.size).turned(place.turn)
    (back,) = turned.inverse().steps
    return np.moveaxis(back.mask(np.moveaxis(found, 0, 2), 0), 2, 0)


def _ramp(start: int, length: int, whole: int) -> np.ndarray:
    """The weight of each pixel of a row of a tile: rising from a side that lies inside of the picture to the middle."""
    place = np.arange(length, dtype=np.float32) + 0.5
    rising = place if start > 0 else np.full(length, np.inf, np.float32)
    falling = length - place if start + length < whole else np.full(length, np.inf, np.float32)
    return np.minimum(np.minimum(rising, falling) / (length / 2), 1.0).astype(np.float32)


def _enlarged(chances: np.ndarray, size: Size) -> np.ndarray:
    """The most probable class of each pixel at another size. Class by class: a large picture has many pixels."""
    width, height = size
    best, found = None, np.zeros((height, width), np.uint8)
    for number, one in enumerate(chances):
        plane = torch.from_numpy(np.ascontiguousarray(one, np.float32))
        if plane.shape != (height, width):
            plane = functional.interpolate(
                plane[None, None], size=(height, width), mode="bilinear", align_corners=False, antialias=True
            )[0, 0]
        if best is None:
            best = plane
            continue
        more = plane > best
        found[more.numpy()] = number
        best = torch.where(more, plane, best)
    return found
