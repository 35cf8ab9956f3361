"""Figures of found boxes: those of faster-coco-eval called the plain way, and cases that can be told by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork import Box, Boxes
from graftwork_image.detect.scores import MOST, BoxScores, image_f1

LABELS = ("bolt", "nut", "washer")


def found(label: str, probability: float, *corners: float) -> dict:
    return {
        "label": label,
        "probability": probability,
        **dict(zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)),
    }


def score(*pairs: tuple[list[dict], list[Box]]) -> dict:
    """Metrics of (found, true) pairs."""
    scores = BoxScores()
    for boxes, true in pairs:
        scores.add({"boxes": boxes}, Boxes(tuple(true)))
    return scores.metrics()


@st.composite
def images(draw: st.DrawFn) -> list[tuple[list[dict], list[Box]]]:
    """Images of which some are empty; found boxes are true ones moved a little, or anywhere."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pairs = []
    for _ in range(draw(st.integers(1, 5))):
        true, boxes = [], []
        for _ in range(rng.integers(0, 5)):
            corners = [*rng.uniform(0, 60, 2), *rng.uniform(65, 120, 2)]
            true.append(Box(str(rng.choice(LABELS)), *corners, ignored=bool(rng.random() < 0.2)))
            if rng.random() < 0.8:
                boxes.append((true[-1].label, corners + rng.normal(0, 5, 4)))
        for _ in range(rng.integers(0, 3)):
            boxes.append((str(rng.choice(LABELS)), np.array([*rng.uniform(0, 60, 2), *rng.uniform(65, 120, 2)])))
        # No two alike: the order of boxes that are as probable is nobody's rule.
        pairs.append(([found(label, rng.random(), *c.tolist()) for label, c in boxes], true))
    return pairs


def by_the_book(pairs: list[tuple[list[dict], list[Box]]], place) -> tuple[list[float], np.ndarray]:
    """The twelve figures of COCO and the precisions, through the files that its tools read."""

    def bbox(xmin: float, ymin: float, xmax: float, ymax: float) -> dict:
        return {"bbox": [xmin, ymin, xmax - xmin, ymax - ymin], "area": (xmax - xmin) * (ymax - ymin)}

    annotations, results = [], []
    for image, (boxes, true) in enumerate(pairs, 1):
        for box in true:
            where = bbox(box.xmin, box.ymin, box.xmax, box.ymax)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": LABELS.index(box.label) + 1,
                    "iscrowd": int(box.ignored),
                    **where,
                }
            )
        for box in boxes:
            where = bbox(box["xmin"], box["ymin"], box["xmax"], box["ymax"])
            results.append(
                {
                    "image_id": image,
                    "category_id": LABELS.index(box["label"]) + 1,
                    "score": box["probability"],
                    "bbox": where["bbox"],
                }
            )
    file = place / "truth.json"
    file.write_text(json.dumps({
        "images": [{"id": image, "width": 200, "height": 200} for image in range(1, len(pairs) + 1)],
        "categories": [{"id": k, "name": name} for k, name in enumerate(LABELS, 1)],
        "annotations": annotations,
    }))  # fmt: skip
    truth = COCO(str(file))
    judge = COCOeval_faster(truth, truth.loadRes(results), "bbox")
    judge.run()
    return judge.stats, judge.eval["precision"]


@given(pairs=images())
@settings(max_examples=60, deadline=None)
def test_the_figures_are_those_of_coco(tmp_path_factory, pairs) -> None:
    if not any(not box.ignored for _, true in pairs for box in true) or not any(boxes for boxes, _ in pairs):
        return
    ours = score(*pairs)
    stats, precision = by_the_book(pairs, tmp_path_factory.mktemp("coco"))
    assert ours["map"] == pytest.approx(stats[0])
    assert ours["map_50"] == pytest.approx(stats[1])
    assert ours["map_75"] == pytest.approx(stats[2])
    assert ours["recall"] == pytest.approx(stats[8])
    for k, label in enumerate(LABELS):
        there = precision[:, :, k, 0, -1]
        if there.max() < 0:
            assert label not in ours["by_label"]["ap"]
        else:
            assert ours["by_label"]["ap"][label] == pytest.approx(there.mean())
            assert ours["by_label"]["ap_50"][label] == pytest.approx(there[0].mean())


TRUE = Box("bolt", 0, 0, 10, 10)


def test_a_box_that_is_found_exactly_is_right_at_every_overlap() -> None:
    metrics = score(([found("bolt", 0.3, 0, 0, 10, 10)], [TRUE]))
    assert metrics["map"] == metrics["map_50"] == metrics["map_75"] == metrics["recall"] == pytest.approx(1)
    assert metrics["by_label"]["ap"] == {"bolt": pytest.approx(1)}


def test_a_box_at_an_overlap_of_six_tenths_is_right_at_three_of_ten() -> None:
    metrics = score(([found("bolt", 0.9, 0, 0, 10, 6.2)], [TRUE]))
    assert metrics["map_50"] == pytest.approx(1)
    assert metrics["map_75"] == 0
    assert metrics["map"] == metrics["recall"] == pytest.approx(0.3)


def test_a_box_found_twice_is_once_wrong() -> None:
    twice = [found("bolt", 0.9, 50, 50, 60, 60), found("bolt", 0.8, 0, 0, 10, 10), found("bolt", 0.7, 0, 0, 10, 10)]
    assert score((twice, [TRUE]))["map_50"] == pytest.approx(0.5)


def test_a_box_of_another_label_or_image_is_wrong() -> None:
    assert score(([found("nut", 0.9, 0, 0, 10, 10)], [TRUE]))["map_50"] == 0
    assert score(([found("bolt", 0.9, 0, 0, 10, 10)], []), ([], [TRUE]))["map_50"] == 0


def test_wrong_boxes_on_empty_images_cost_precision() -> None:
    alone = score(([found("bolt", 0.8, 0, 0, 10, 10)], [TRUE]))
    with_empty = score(([found("bolt", 0.8, 0, 0, 10, 10)], [TRUE]), ([found("bolt", 0.9, 0, 0, 10, 10)], []))
    assert alone["map_50"] == pytest.approx(1)
    assert with_empty["map_50"] == pytest.approx(0.5)


def test_an_ignored_box_is_neither_right_nor_wrong() -> None:
    crowd = Box("bolt", 50, 50, 90, 90, ignored=True)
    inside = found("bolt", 0.95, 60, 60, 70, 70)
    assert score(([inside, found("bolt", 0.9, 0, 0, 10, 10)], [TRUE, crowd]))["map"] == pytest.approx(1)
    assert score(([found("bolt", 0.9, 0, 0, 10, 10)], [TRUE, crowd]))["recall"] == pytest.approx(1)
    assert image_f1([inside, found("bolt", 0.9, 0, 0, 10, 10)], [TRUE, crowd]) == 1
    assert image_f1([found("bolt", 0.9, 0, 0, 10, 10)], [TRUE, crowd]) == 1


def test_the_hundred_most_probable_boxes_of_a_label_count() -> None:
    wrong = [found("bolt", 0.9, 50, 50, 60, 60)] * (MOST - 1)
    last = found("bolt", 0.1, 0, 0, 10, 10)
    assert score(([last, *wrong], [TRUE]))["recall"] == pytest.approx(1)
    assert score(([last, *wrong, wrong[0]], [TRUE]))["recall"] == 0


def test_the_score_of_an_image_is_its_f1_of_probable_boxes() -> None:
    scores = BoxScores()
    true = Boxes((TRUE, Box("nut", 20, 20, 40, 40)))
    right, unsure = found("bolt", 0.9, 0, 0, 10, 9), found("nut", 0.4, 20, 20, 40, 40)
    assert scores.add({"boxes": [right, unsure]}, true) == pytest.approx(2 / 3)
    assert scores.add({"boxes": [right, found("nut", 0.5, 20, 20, 40, 40)]}, true) == 1
    assert scores.add({"boxes": [right, found("bolt", 0.8, 0, 0, 10, 10)]}, Boxes((TRUE,))) == pytest.approx(2 / 3)
    assert scores.add({"boxes": [found("bolt", 0.8, 0, 0, 10, 4.9)]}, Boxes((TRUE,))) == 0
    assert scores.add({"boxes": []}, Boxes()) == 1
    assert scores.add({"boxes": [right]}, Boxes()) == 0


IGNORED = Box("bolt", 0, 0, 10, 10, ignored=True)


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [([], [])],
        [([found("bolt", 0.9, 0, 0, 10, 10)], [])],
        [([], [TRUE])],
        [([], [IGNORED])],
        [([found("nut", 0.9, 0, 0, 10, 10)], [IGNORED])],
    ],
)
def test_every_figure_is_finite_where_nothing_is_right(pairs) -> None:
    metrics = score(*pairs)
    by_label = metrics.pop("by_label")
    assert metrics == {"map": 0, "map_50": 0, "map_75": 0, "recall": 0, "nothing": 0}
    assert set(by_label) == {"ap", "ap_50"}
    assert all(value == 0 for values in by_label.values() for value in values.values())


def test_figures_can_be_asked_for_between_images() -> None:
    scores = BoxScores()
    scores.add({"boxes": [found("bolt", 0.9, 0, 0, 10, 10)]}, Boxes((TRUE,)))
    assert scores.metrics()["map"] == pytest.approx(1)
    scores.add({"boxes": []}, Boxes((TRUE, TRUE, TRUE)))
    assert scores.metrics()["recall"] == pytest.approx(0.25)
