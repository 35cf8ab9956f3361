"""How good found boxes are, by the rules of COCO."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from graftwork import Box, Boxes, RawLabel, Scorer

MOST = 100
"""Found boxes of one label in one image that count, the most probable ones (COCO)."""
SURE = 0.5
"""Found boxes from this probability on count for the score of one image."""
OVERLAP = 0.5
"""From this IoU on a found box is right in the score of one image."""

NUMBERS = 7
"""What is kept of a box: image, label, left, top, width, height; whether it is ignored, or how probable."""


class BoxScores(Scorer):
    """Average precision of boxes over all images (Lin et al. 2014, arXiv:1405.0312; computed by faster-coco-eval).

    IoU .5 to .95 in steps of .05, the 100 most probable boxes of each label and image. A found box that lies in an
    ignored one, and on no other, is neither right nor wrong. Keeps seven numbers for each box.
    """

    def __init__(self) -> None:
        self._labels: dict[str, int] = {}
        self._images = 0
        self._true = array("d")
        self._found = array("d")

    def add(self, answer: dict[str, Any], label: RawLabel) -> float:
        """Take in an image: `{"boxes": [{label, probability, xmin, ymin, xmax, ymax}, ...]}` and its `Boxes`, both in
        pixels of the same image.

        Returns the F1 of this image at IoU .5, of boxes with probability .5 or more; 1 where nothing was there and
        nothing was found.
        """
        assert isinstance(label, Boxes)
        found = sorted(answer["boxes"], key=lambda box: -box["probability"])
        self._images += 1
        for box in label.boxes:
            self._keep(self._true, box.label, (box.xmin, box.ymin, box.xmax, box.ymax), box.ignored)
        kept: dict[str, int] = {}
        for box in found:
            kept[box["label"]] = kept.get(box["label"], 0) + 1
            if kept[box["label"]] <= MOST:
                self._keep(self._found, box["label"], _corners(box), box["probability"])
        return image_f1([box for box in found if box["probability"] >= SURE], label.boxes)

    def metrics(self) -> dict[str, Any]:
        """map, map_50 and map_75 (at IoU .5 and .75), recall (the highest one, mean over IoU: COCO's AR), each a mean
        over the labels that are there, 0..1; nothing: the map of finding nothing; `by_label`: AP and AP50 of each label
        that is there. 0 where no box is to be found."""
        precision, recall = self._evaluate() if self._true else (np.zeros((0, 10)), np.zeros((0, 10)))
        there = recall[:, 0] >= 0  # COCO's -1: no box of this label is to be found
        names = [name for name, number in sorted(self._labels.items()) if number < len(there) and there[number]]
        order = [self._labels[name] for name in names]
        return {
            "map": _mean(precision[there]),
            "map_50": _mean(precision[there, 0]),
            "map_75": _mean(precision[there, 5]),
            "recall": _mean(recall[there]),
            "nothing": 0.0,
            "by_label": {
                "ap": {name: float(precision[k].mean()) for name, k in zip(names, order, strict=True)},
                "ap_50": {name: float(precision[k, 0]) for name, k in zip(names, order, strict=True)},
            },
        }

    def _keep(self, boxes: array[float], label: str, corners: Sequence[float], last: float) -> None:
        left, top, right, bottom = corners
        number = self._labels.setdefault(label, len(self._labels))
        boxes.extend((self._images, number, left, top, right - left, bottom - top, last))

    def _evaluate(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Average precision and highest recall of each label by IoU: two `(labels, 10)`; -1 where none is there."""
        from faster_coco_eval import COCO, COCOeval_faster

        def coco(annotations: Iterable[dict[str, Any]]) -> Any:
            images = [{"id": number + 1} for number in range(self._images)]
            categories = [{"id": number} for number in self._labels.values()]
            return COCO({"images": images, "categories": categories, "annotations": list(annotations)})

        true = coco({**box, "iscrowd": int(ignored)} for box, ignored in _annotations(self._true))
        found = coco({**box, "iscrowd": 0, "score": probable} for box, probable in _annotations(self._found))
        judge = COCOeval_faster(true, found, "bbox")
        judge.params.areaRng, judge.params.areaRngLbl, judge.params.maxDets = [[0, 1e10]], ["all"], [MOST]
        judge.evaluate()
        judge.accumulate()
        precision = np.asarray(judge.eval["precision"])[:, :, :, 0, 0].mean(1).T  # mean over 101 recalls
        return precision, np.asarray(judge.eval["recall"])[:, :, 0, 0].T


def image_f1(found: Sequence[dict[str, Any]], true: Sequence[Box]) -> float:
    """The F1 at IoU .5 of boxes of one image, the most probable first; each takes the true box that it overlaps most
    and that none took before it. 1 where nothing is there and nothing found."""
    taken = np.zeros(len(true), dtype=bool)
    ignored = np.array([box.ignored for box in true], dtype=bool)
    right = wrong = 0
    for box in found:
        same = np.array([other.label == box["label"] for other in true], dtype=bool)
        overlaps = np.where(same, _overlaps(_corners(box), true), 0.0)
        left = np.where(taken | ignored, 0.0, overlaps)
        if left.max(initial=0) >= OVERLAP:
            taken[left.argmax()] = True
            right += 1
        elif np.where(ignored, overlaps, 0).max(initial=0) < OVERLAP:
            wrong += 1
    total = 2 * right + wrong + int((~ignored & ~taken).sum())
    return 2 * right / total if total else 1.0


def _overlaps(corners: Sequence[float], true: Sequence[Box]) -> npt.NDArray[np.float64]:
    """IoU with each true box `(N,)`; with an ignored one the share of the found box that lies in it (COCO)."""
    boxes = np.array([(box.xmin, box.ymin, box.xmax, box.ymax) for box in true], dtype=np.float64).reshape(-1, 4)
    given = np.asarray(corners, dtype=np.float64)
    sides = np.minimum(boxes[:, 2:], given[2:]) - np.maximum(boxes[:, :2], given[:2])
    both = np.clip(sides, 0, None).prod(1)
    own = np.prod(given[2:] - given[:2])
    ignored = np.array([box.ignored for box in true], dtype=bool)
    union = np.where(ignored, own, own + (boxes[:, 2:] - boxes[:, :2]).prod(1) - both)
    return both / np.maximum(union, np.finfo(np.float64).tiny)


def _corners(box: dict[str, Any]) -> tuple[float, float, float, float]:
    return box["xmin"], box["ymin"], box["xmax"], box["ymax"]


def _annotations(boxes: array[float]) -> Iterator[tuple[dict[str, Any], float]]:
    """Each box as COCO writes it, and its last number."""
    rows = np.array(boxes).reshape(-1, NUMBERS).tolist()
    for number, (image, label, left, top, width, height, last) in enumerate(rows, 1):  # 0 would say "not matched"
        box = {"id": number, "image_id": int(image), "category_id": int(label)}
        yield {**box, "bbox": [left, top, width, height], "area": width * height}, last


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else 0.0
