"""How well painted classes lie on the true ones, from counts of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from graftwork import Scorer

IGNORED = 255
"""The class number of pixels that are neither right nor wrong (as Pascal VOC marks them)."""


class MaskScores(Scorer):
    """Intersection over union, dice and pixel accuracy over the pixels of all images together.

    names: of the classes, 255 at the most, by number. Keeps their confusion matrix alone (Long et al. 2015,
    arXiv:1411.4038, section 5). Classes that no image has and no answer paints take no part in means.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._confusion = np.zeros((len(names), len(names)), dtype=np.int64)

    def add(self, answer: dict[str, Any], label: Any) -> float:
        """Take in an image: `{"mask": (H, W)}` class numbers of its pixels, and the true ones: an array `(H, W)` too,
        255 where ignored.

        Returns the mean IoU over the classes that are in this image or its answer; 1 where all pixels are ignored.
        """
        counts = confusion(label, answer["mask"], len(self._names))
        self._confusion += counts
        return float(np.nanmean(iou(counts))) if counts.any() else 1.0

    def metrics(self) -> dict[str, Any]:
        """mean_iou and dice (means over classes), pixel_accuracy, majority (the pixel accuracy of the most frequent
        class), majority_iou (the mean IoU of painting that one everywhere), each 0..1; `by_label`: the IoU of each
        class that is there or painted. 0 without any pixel."""
        overlap = iou(self._confusion)
        there = ~np.isnan(overlap)
        overlap, pixels = overlap[there], max(int(self._confusion.sum()), 1)
        names = [name for name, seen in zip(self._names, there, strict=True) if seen]
        majority = float(self._confusion.sum(1).max(initial=0) / pixels)
        return {
            "mean_iou": _mean(overlap),
            "dice": _mean(2 * overlap / (1 + overlap)),  # of one class, each follows from the other
            "pixel_accuracy": float(self._confusion.trace() / pixels),
            "majority": majority,
            "majority_iou": majority / max(1, int((self._confusion.sum(1) > 0).sum())),  # that of all others is 0
            "by_label": {"iou": dict(zip(names, overlap.tolist(), strict=True))},
        }


def confusion(true: npt.NDArray[np.integer], found: npt.NDArray[np.integer], classes: int) -> npt.NDArray[np.int64]:
    """How many pixels of each true class (rows) are painted as each class (columns): `(classes, classes)`.

    Raises `ValueError` for masks of two sizes, and for numbers that are no class.
    """
    if true.shape != found.shape:
        raise ValueError(f"The masks are of two sizes: {true.shape} and {found.shape}.")
    kept = true != IGNORED
    pairs = np.stack((true[kept], found[kept])).astype(np.int64)
    if pairs.size and not 0 <= pairs.min() <= pairs.max() < classes:
        raise ValueError(f"A mask holds the numbers {pairs.min()} to {pairs.max()}; there are {classes} classes.")
    return np.bincount(pairs[0] * classes + pairs[1], minlength=classes**2).reshape(classes, classes)


def iou(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Intersection over union of each class `(classes,)`; nan for one that is neither there nor painted."""
    union = counts.sum(0) + counts.sum(1) - counts.diagonal()
    return np.where(union > 0, counts.diagonal() / np.maximum(union, 1), np.nan)


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0
