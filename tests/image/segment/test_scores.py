"""Figures of painted classes: those of scikit-learn over all pixels, summed up one image at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, jaccard_score

from graftwork_image.segment.scores import IGNORED, MaskScores, confusion

NAMES = ("background", "cell", "wall", "other")


@st.composite
def pictures(draw: st.DrawFn) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of a found and a true mask, each pair of its own size, with ignored pixels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pairs = []
    for _ in range(draw(st.integers(1, 4))):
        size = draw(st.integers(1, 6)), draw(st.integers(1, 6))
        classes = draw(st.integers(1, len(NAMES)))
        true = rng.integers(0, classes, size).astype(np.uint8)
        true[rng.random(size) < 0.2] = IGNORED
        pairs.append((rng.integers(0, classes, size), true))
    return pairs


def score(*pairs: tuple[np.ndarray, np.ndarray]) -> dict:
    """Metrics of (found, true) pairs."""
    scores = MaskScores(NAMES)
    for found, true in pairs:
        scores.add({"mask": found}, true)
    return scores.metrics()


def mask(*rows: str) -> np.ndarray:
    """Digits of classes; a dot is ignored."""
    return np.array([[IGNORED if cell == "." else int(cell) for cell in row] for row in rows], dtype=np.uint8)


@given(pictures())
@settings(max_examples=100, deadline=None)
def test_the_figures_are_those_of_scikit_learn_over_all_pixels(pairs) -> None:
    found = np.concatenate([f[t != IGNORED] for f, t in pairs])
    true = np.concatenate([t[t != IGNORED] for _, t in pairs])
    ours = score(*pairs)
    if not len(true):
        return
    assert ours["mean_iou"] == pytest.approx(jaccard_score(true, found, average="macro"))
    assert ours["dice"] == pytest.approx(f1_score(true, found, average="macro"))
    assert ours["pixel_accuracy"] == pytest.approx(accuracy_score(true, found))
    assert ours["majority"] == pytest.approx(np.bincount(true).max() / len(true))
    everywhere = jaccard_score(
        true, np.full(len(true), np.bincount(true).argmax()), average="macro", labels=np.unique(true)
    )
    assert ours["majority_iou"] == pytest.approx(everywhere)
    there = sorted({*true.tolist(), *found.tolist()})
    each = jaccard_score(true, found, average=None, labels=there)
    assert ours["by_label"]["iou"] == pytest.approx({NAMES[k]: v for k, v in zip(there, each, strict=True)})


def test_ignored_pixels_are_neither_right_nor_wrong() -> None:
    assert score((mask("0123"), mask("0..3")))["pixel_accuracy"] == 1
    assert score((mask("0123"), mask("0..3")))["by_label"]["iou"] == {"background": 1, "other": 1}


def test_a_class_that_is_only_painted_counts_as_wrong() -> None:
    metrics = score((mask("0001"), mask("0000")))
    assert metrics["by_label"]["iou"] == {"background": 0.75, "cell": 0}
    assert metrics["mean_iou"] == 0.375


def test_pixels_are_summed_over_images_and_not_averaged() -> None:
    assert score((mask("1"), mask("0")), (mask("000"), mask("000")))["pixel_accuracy"] == 0.75


def test_the_score_of_an_image_is_the_mean_overlap_of_its_own_classes() -> None:
    scores = MaskScores(NAMES)
    assert scores.add({"mask": mask("0011")}, mask("0011")) == 1
    assert scores.add({"mask": mask("0001")}, mask("0011")) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert scores.add({"mask": mask("0001")}, mask("....")) == 1


@pytest.mark.parametrize("pairs", [[], [(mask("0123"), mask("...."))]])
def test_every_figure_is_finite_without_a_pixel_to_judge(pairs) -> None:
    metrics = score(*pairs)
    assert metrics.pop("by_label") == {"iou": {}}
    assert metrics == {"mean_iou": 0, "dice": 0, "pixel_accuracy": 0, "majority": 0, "majority_iou": 0}
    assert all(math.isfinite(value) for value in metrics.values())


def test_memory_holds_the_confusion_matrix_alone() -> None:
    scores = MaskScores(NAMES)
    for _ in range(3):
        scores.add({"mask": np.zeros((500, 500), int)}, np.zeros((500, 500), np.uint8))
    assert sum(getattr(value, "nbytes", 0) for value in vars(scores).values()) == 8 * len(NAMES) ** 2


def test_masks_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"The masks are of two sizes: \(1, 4\) and \(1, 3\)\."):
        confusion(mask("0000"), mask("000"), 2)


def test_a_number_that_is_no_class_is_refused() -> None:
    with pytest.raises(ValueError, match=r"A mask holds the numbers 0 to 3; there are 2 classes\."):
        confusion(mask("0000"), mask("0003"), 2)
