"""The classes of painted pixels: their names, how many pixels each has, and what each counts in the loss."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from graftwork import DataError, Mask, RawLabel
from graftwork_image.geometry import Size
from graftwork_image.masks import BACKGROUND, pixels_of

HEAVIEST = 10.0
"""The most that a pixel of a rare class counts, compared with one of average frequency; a class of a few pixels would
else be all that a step is about."""


class PixelCounts:
    """How many pixels of each class masks have. Each mask is read once, and its counts alone are kept."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[Mask, dict[str, int]]] = {}  # the mask too, so that its id stays its own

    def __call__(self, labels: Sequence[RawLabel]) -> list[dict[str, int]]:
        """Raises `DataError` for labels that are no masks, and for masks that cannot be read."""
        masks = [as_mask(label) for label in labels]
        fresh = list({id(mask): mask for mask in masks if id(mask) not in self._found}.values())
        with ThreadPoolExecutor(max_workers=4) as threads:
            for mask, found in zip(fresh, threads.map(pixels_of, fresh), strict=True):
                self._found[id(mask)] = mask, found
        return [self._found[id(mask)][1] for mask in masks]


def as_mask(label: RawLabel) -> Mask:
    """Raises `DataError` for a label of another kind."""
    if not isinstance(label, Mask):
        said = label if isinstance(label, str) else type(label).__name__
        raise DataError(
            f"The labels are not masks of the images (the first: '{str(said)[:60]}'); mask images, polygons and runs "
            "are accepted.",
            "See: graftwork check DATA --task segment",
        )
    return label


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """The background first, then by number or name."""

    def key(name: str) -> tuple[bool, bool, int, str]:
        return name != BACKGROUND, not name.isdecimal(), int(name) if name.isdecimal() else 0, name

    return tuple(sorted(names, key=key))


def total(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The pixels of each class in all masks."""
    found: Counter[str] = Counter()
    for one in counts:
        found.update(one)
    return dict(found)


def class_weights(pixels: Sequence[int], balance: float = 0.5) -> list[float]:
    """What a pixel of each class counts: the inverse of how frequent the class is, to the power of `balance`, 1 on
    average over all pixels. Ronneberger et al. 2015 (arXiv:1505.04597) balance frequencies wholly; the root keeps large
    classes right too. 1 for all where nobody knows how many pixels there are.
    """
    count = np.asarray(pixels, np.float64)
    if not count.sum():
        return [1.0] * len(count)
    share = np.maximum(count, 1) / count.sum()
    weights = share**-balance
    weights /= (share * weights).sum()
    return np.minimum(weights, HEAVIEST).round(4).tolist()


@dataclass(frozen=True)
class Painted:
    """The classes of the pixels of a piece, packed, since many pieces stay in memory. weights: of the classes."""

    packed: bytes
    size: Size
    weights: tuple[float, ...]

    @classmethod
    def of(cls, classes: np.ndarray, weights: Sequence[float]) -> Painted:
        """classes: `(H, W)` uint8, 255 where a pixel is neither right nor wrong."""
        packed = zlib.compress(np.ascontiguousarray(classes, np.uint8).tobytes(), level=1)
        return cls(packed, (classes.shape[1], classes.shape[0]), tuple(weights))

    def classes(self) -> np.ndarray:
        """`(H, W)` uint8."""
        return np.frombuffer(bytearray(zlib.decompress(self.packed)), np.uint8).reshape(self.size[::-1])
