"""COCO files that are written are read back."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from graftwork import Box, Boxes, Mask, Region
from graftwork_image.annotations.coco import CocoReader
from graftwork_image.coco_writing import Labelled, to_coco
from graftwork_image.masks import BACKGROUND, IGNORED, class_map

NAMES = [BACKGROUND, "cat", "dog"]


def read_back(written: dict, kind: str) -> list[object]:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "a.json")
        file.write_text(json.dumps(written))
        assert CocoReader().fits(file)
        return [example.label for example in CocoReader().read(file, kind).examples]


whole = st.integers(0, 99).map(float)
boxes = st.lists(st.builds(Box, st.sampled_from(NAMES[1:]), whole, whole, whole, whole, st.booleans())).map(tuple)


@settings(deadline=None, max_examples=50)
@given(st.lists(boxes, max_size=3))
def test_boxes_are_read_back(images) -> None:
    labels = [Boxes(found, (120, 100)) for found in images]
    written = to_coco([Labelled(f"{n}.png", (120, 100), label) for n, label in enumerate(labels)], NAMES)
    assert read_back(written, "boxes") == labels


@settings(deadline=None, max_examples=50)
@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.sampled_from([0, 1, 2])))
def test_pixels_are_read_back(classes) -> None:
    size = classes.shape[1], classes.shape[0]
    (mask,) = read_back(to_coco([Labelled("a.png", size, classes)], NAMES), "mask")
    assert (class_map(mask, NAMES, size) == classes).all()


def test_polygons_are_read_back_and_holes_as_runs() -> None:
    square, hole = (0.0, 0, 6, 0, 6, 6, 0, 6), (2.0, 2, 4, 2, 4, 4, 2, 4)
    mask = Mask(
        regions=(Region("cat", (square,)), Region("dog", (square, hole)), Region("cow", (hole,))),
        size=(8, 8),
        ignored=frozenset({"cow"}),
    )
    written = to_coco([Labelled("a.png", (8, 8), mask)], NAMES)
    (found,) = read_back(written, "mask")
    assert found.regions[0] == Region("cat", (square,))
    assert [region.label for region in found.regions] == ["cat", "dog"]
    assert [thing["area"] for thing in written["annotations"]] == [36, 32]
    assert written["annotations"][0]["bbox"] == written["annotations"][1]["bbox"] == [0, 0, 6, 6]
    expected = class_map(Mask(regions=mask.regions[:2]), NAMES, (8, 8))
    assert (class_map(found, NAMES, (8, 8)) == expected).all()


def test_answers_have_scores_and_ignored_pixels_no_annotation() -> None:
    written = to_coco([Labelled("a.png", (8, 8), Boxes((Box("dog", 1, 2, 3, 5),)), [0.75])], NAMES)
    assert written["annotations"] == [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 2, 3], "area": 6, "iscrowd": 0, "score": 0.75}
    ]
    assert written["categories"] == [{"id": 2, "name": "cat"}, {"id": 3, "name": "dog"}]
    assert to_coco([Labelled("a.png", (2, 1), np.array([[IGNORED, 0]], np.uint8))], NAMES)["annotations"] == []


def test_background_that_is_drawn_is_a_category() -> None:
    mask = Mask(regions=(Region(BACKGROUND, ((0, 0, 1, 0, 1, 1),)),))
    assert to_coco([Labelled("a.png", (2, 2), mask)], NAMES)["categories"][0] == {"id": 1, "name": BACKGROUND}


def test_a_class_without_a_name_is_refused() -> None:
    with pytest.raises(KeyError):
        to_coco([Labelled("a.png", (8, 8), Boxes((Box("cow", 1, 2, 3, 5),)))], NAMES)
