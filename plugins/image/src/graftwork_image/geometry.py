"""How an image was moved, so that what lies in it moves along: turned by its EXIF tag, mirrored, resized, cut, padded.

Coordinates are pixels from the top left corner of an image, x to the right and y down; the pixel in column i and row j
covers i to i + 1 and j to j + 1. Sizes are width and height.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from graftwork import Box, Boxes, DataError
from graftwork_image.convert import TURNS

Size = tuple[int, int]

AXES = {
    1: (False, 1, 1),
    2: (False, -1, 1),
    3: (False, -1, -1),
    4: (False, 1, -1),
    5: (True, 1, 1),
    6: (True, -1, 1),
    7: (True, -1, -1),
    8: (True, 1, -1),
}
"""For each EXIF orientation: whether x and y change places, and then in which direction each goes."""

UNDONE = {**{tag: tag for tag in AXES}, 6: 8, 8: 6}
"""The orientation that undoes each."""

ORIENTATIONS = {1: (1,), 2: (1, 2), 8: tuple(AXES)}
"""In how many orientations a picture may lie: as it is; mirrored too, as in photographs; any quarter turn, mirrored or
not, as under a microscope or from above."""


@dataclass(frozen=True)
class Turn:
    """Turned upright as EXIF orientation `tag` (1 to 8) asks for."""

    tag: int

    def size(self, before: Size) -> Size:
        return (before[1], before[0]) if AXES[self.tag][0] else before

    def undone(self, before: Size) -> Turn:
        return Turn(UNDONE[self.tag])

    def axis(self, axis: int, before: Size) -> tuple[float, float]:
        """Scale and shift of x (0) or y (1), after they have changed places."""
        sign = AXES[self.tag][1 + axis]
        return (1.0, 0.0) if sign > 0 else (-1.0, float(self.size(before)[axis]))

    def mask(self, mask: np.ndarray, fill: int) -> np.ndarray:
        swap, across, down = AXES[self.tag]
        return (mask.swapaxes(0, 1) if swap else mask)[::down, ::across]

    def image(self, image: Image.Image, resampling: Image.Resampling) -> Image.Image:
        return image if self.tag == 1 else image.transpose(TURNS[self.tag])


@dataclass(frozen=True)
class Resize:
    """Resized to width and height."""

    to: Size

    def size(self, before: Size) -> Size:
        return self.to

    def undone(self, before: Size) -> Resize:
        return Resize(before)

    def axis(self, axis: int, before: Size) -> tuple[float, float]:
        return self.to[axis] / before[axis], 0.0

    def mask(self, mask: np.ndarray, fill: int) -> np.ndarray:
        """The nearest pixel of each, as no class lies between two."""
        across, down = (_nearest(mask.shape[1 - axis], self.to[axis]) for axis in (0, 1))
        return mask[down[:, None], across]

    def image(self, image: Image.Image, resampling: Image.Resampling) -> Image.Image:
        return image.resize(self.to, resampling)


@dataclass(frozen=True)
class Window:
    """Cut to a window; what of it lies outside of the image is filled."""

    left: int
    top: int
    to: Size

    def size(self, before: Size) -> Size:
        return self.to

    def undone(self, before: Size) -> Window:
        return Window(-self.left, -self.top, before)

    def axis(self, axis: int, before: Size) -> tuple[float, float]:
        return 1.0, -float((self.left, self.top)[axis])

    def mask(self, mask: np.ndarray, fill: int) -> np.ndarray:
        width, height = self.to
        cut = np.full((height, width), fill, mask.dtype)
        right, bottom = min(mask.shape[1], self.left + width), min(mask.shape[0], self.top + height)
        left, top = max(self.left, 0), max(self.top, 0)
        if left < right and top < bottom:
            inside = slice(top - self.top, bottom - self.top), slice(left - self.left, right - self.left)
            cut[inside] = mask[top:bottom, left:right]
        return cut

    def image(self, image: Image.Image, resampling: Image.Resampling) -> Image.Image:
        return image.crop((self.left, self.top, self.left + self.to[0], self.top + self.to[1]))


@dataclass(frozen=True)
class Placement:
    """How an image of size `source` was moved, step by step. `Placement(size)` leaves it where it is; each method gives
    a placement with one step more.
    """

    source: Size
    steps: tuple[Turn | Resize | Window, ...] = ()

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """The size before each step, and after the last."""
        found = [self.source]
        for step in self.steps:
            found.append(step.size(found[-1]))
        return tuple(found)

    @property
    def size(self) -> Size:
        """The size of the image as moved."""
        return self.sizes[-1]

    def turned(self, tag: int) -> Placement:
        """Turned upright as EXIF orientation `tag` asks for; 6, 3 and 8 are one, two and three quarters clockwise."""
        return self._and(Turn(tag))

    def mirrored(self) -> Placement:
        """Left and right changed."""
        return self._and(Turn(2))

    def resized(self, size: Size) -> Placement:
        return self._and(Resize(size))

    def cropped(self, left: int, top: int, width: int, height: int) -> Placement:
        """Cut to a window, which may reach over the edges."""
        return self._and(Window(left, top, (width, height)))

    def padded(self, left: int, top: int, right: int, bottom: int) -> Placement:
        """With as many pixels more on each side."""
        width, height = self.size
        return self.cropped(-left, -top, left + width + right, top + height + bottom)

    def then(self, other: Placement) -> Placement:
        """Moved by this one, and then by another. Raises `ValueError` if that one moves images of another size."""
        if other.source != self.size:
            raise ValueError(f"an image of {self.size} cannot be moved as one of {other.source}")
        return replace(self, steps=(*self.steps, *other.steps))

    def inverse(self) -> Placement:
        """The way back, to the image of size `source`. What was cut off comes back as fill."""
        steps = [step.undone(before) for step, before in zip(self.steps, self.sizes, strict=False)]
        return Placement(self.size, tuple(reversed(steps)))

    def points(self, points: Any) -> Any:
        """Points `(..., 2)` of x and y, an array or a tensor of floats, as moved."""
        swap, scale, shift = self._affine
        moved = points[..., [1, 0]] if swap else points
        return moved * _like(points, scale) + _like(points, shift)

    def polygon(self, corners: Sequence[float]) -> tuple[float, ...]:
        """Corners x1, y1, x2, y2, ... as moved."""
        moved = self.points(np.asarray(corners, np.float64).reshape(-1, 2))
        return tuple(moved.ravel().tolist())

    def boxes(self, boxes: Any) -> Any:
        """Boxes `(n, 4)` of xmin, ymin, xmax, ymax, an array or a tensor of floats, as moved; not cut at the edges."""
        swap, scale, shift = self._affine
        moved = boxes[..., [1, 0, 3, 2]] if swap else boxes
        moved = moved * _like(boxes, (*scale, *scale)) + _like(boxes, (*shift, *shift))
        left, top = (2 if scale[0] < 0 else 0), (3 if scale[1] < 0 else 1)
        return moved[..., [left, top, 2 - left, 4 - top]]

    def label(self, label: Boxes) -> Boxes:
        """The boxes of an image as moved; not cut at the edges."""
        sides = np.array([(box.xmin, box.ymin, box.xmax, box.ymax) for box in label.boxes], np.float64).reshape(-1, 4)
        moved = self.boxes(sides).tolist()
        boxes = [Box(box.label, *at, ignored=box.ignored) for box, at in zip(label.boxes, moved, strict=True)]
        return Boxes(tuple(boxes), self.size)

    def mask(self, mask: np.ndarray, fill: int) -> np.ndarray:
        """A mask `(H, W)` as moved, each pixel the nearest one; `fill` where nothing was."""
        if mask.shape != self.source[::-1]:
            raise ValueError(f"a mask of {mask.shape[::-1]} cannot be moved as an image of {self.source}")
        for step in self.steps:
            mask = step.mask(mask, fill)
        return np.ascontiguousarray(mask)

    def image(self, image: Image.Image, resampling: Image.Resampling = Image.Resampling.BILINEAR) -> Image.Image:
        """An image as moved; black (or clear) where nothing was."""
        if image.size != self.source:
            raise ValueError(f"an image of {image.size} cannot be moved as one of {self.source}")
        for step in self.steps:
            image = step.image(image, resampling)
        return image

    def _and(self, step: Turn | Resize | Window) -> Placement:
        return replace(self, steps=(*self.steps, step))

    @cached_property
    def _affine(self) -> tuple[bool, tuple[float, float], tuple[float, float]]:
        """Whether x and y change places; then the scale, and then the shift of each."""
        swap, scale, shift = False, [1.0, 1.0], [0.0, 0.0]
        for step, before in zip(self.steps, self.sizes, strict=False):
            if isinstance(step, Turn) and AXES[step.tag][0]:
                swap, scale, shift = not swap, scale[::-1], shift[::-1]
            for axis in (0, 1):
                by, more = step.axis(axis, before)
                scale[axis], shift[axis] = scale[axis] * by, shift[axis] * by + more
        return swap, (scale[0], scale[1]), (shift[0], shift[1])


def _nearest(old: int, new: int) -> np.ndarray:
    """For each of `new` pixels in a row the place of the nearest of `old`; Pillow decides, so that masks and images
    agree where two are equally near.
    """
    places = Image.fromarray(np.arange(old, dtype=np.int32)[None])
    return np.asarray(places.resize((new, 1), Image.Resampling.NEAREST))[0]


def _like(array: Any, values: Sequence[float]) -> Any:
    """Numbers as an array, or as a tensor where one is given."""
    return array.new_tensor(values) if hasattr(array, "new_tensor") else np.asarray(values, array.dtype)


def clipped(boxes: Any, size: Size) -> tuple[Any, Any]:
    """Boxes `(n, 4)` cut at the edges of an image, and the share of its area that each keeps, `(n,)` in 0..1.

    A box without area keeps none.
    """
    limits = _like(boxes, (*size, *size))
    cut = boxes.clip(_like(boxes, (0.0,)), limits)
    before, after = _areas(boxes), _areas(cut)
    return cut, after / (before + (before == 0))


def _areas(boxes: Any) -> Any:
    sides = boxes[..., 2:] - boxes[..., :2]
    return sides.clip(_like(boxes, (0.0,)), None)[..., 0] * sides.clip(_like(boxes, (0.0,)), None)[..., 1]


def upright(drawn: Size | None, stored: Size, tag: int) -> Placement:
    """How labels that were drawn on an image of size `drawn` move onto the image as turned upright.

    drawn: `Boxes.size` or `Mask.size`. stored: the size in the image's header. tag: its EXIF orientation.

    Labels of the stored image are turned with it; those of the upright one stay. Where both have one size (squares,
    images upside down or mirrored) or the label file says none, they are taken as upright, as browsers and so nearly
    all tools show images: see `unclear`.

    Raises `DataError` if the image has the size `drawn` neither as stored nor upright.
    """
    turned = Placement(stored).turned(tag)
    if drawn is None or drawn == turned.size:
        return Placement(turned.size)
    if drawn == stored:
        return turned
    also = "" if turned.size == stored else f" ({turned.size[0]} x {turned.size[1]} upright)"
    raise DataError(
        f"Labels drawn on an image of {drawn[0]} x {drawn[1]} pixels were given with one of {stored[0]} x {stored[1]}"
        f"{also}; those of an image of the same size are accepted.",
        "Put back the image that was labelled, or export the labels again.",
    )


def unclear(drawn: Size | None, stored: Size, tag: int) -> bool:
    """Whether labels may be those of the image as stored or as turned upright, and are taken as the latter."""
    return tag != 1 and (drawn is None or Turn(tag).size(stored) == stored)
