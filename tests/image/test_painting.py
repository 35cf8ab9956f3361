"""What people see of boxes and masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from graftwork import Box, Boxes, Mask
from graftwork_image.masks import BACKGROUND, IGNORED, class_map
from graftwork_image.painting import COLOURS, GREY, mask_image, paint_boxes, paint_mask, palette

NAMES = [BACKGROUND, "cat", "dog"]


def black(width: int = 200, height: int = 100, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (width, height))


def colours_of(image: Image.Image) -> set[tuple[int, ...]]:
    return {colour for _, colour in image.getcolors(1 << 20)}


def test_classes_have_colours_that_stay_apart_and_background_is_black() -> None:
    assert len(set(COLOURS)) == len(COLOURS)
    assert palette(NAMES) == {BACKGROUND: (0, 0, 0), "cat": COLOURS[0], "dog": COLOURS[1]}
    assert palette([str(number) for number in range(13)])["12"] == COLOURS[0]
    # Their brightness alone tells the first ones apart, as those see them who see no colours.
    light = sorted(np.dot(colour, (0.299, 0.587, 0.114)) for colour in COLOURS[:4])
    assert np.diff(light).min() > 10


def test_a_box_is_drawn_inside_its_edges_and_named_above() -> None:
    box = Box("dog", 50, 40, 90, 80)
    image = black()
    painted = paint_boxes(image, Boxes((box,)), NAMES)
    pixels = np.asarray(painted)
    lines = (pixels == COLOURS[1]).all(axis=2)
    assert lines[40, 50:90].all()
    assert lines[79, 50:90].all()
    assert lines[40:80, 50].all()
    assert lines[40:80, 89].all()
    assert not lines[41:79, 51:89].any()
    assert not pixels[81:].any()
    assert lines[20:40, 50:60].any()
    assert colours_of(image) == {(0, 0, 0)}  # which is not drawn on


@pytest.mark.parametrize("corner", [(0, 0), (190, 0), (0, 95), (190, 95), (-50, -50), (500, 500)])
def test_the_name_of_a_box_lies_inside_the_image(corner) -> None:
    box = Box("cat", *corner, corner[0] + 5, corner[1] + 5)
    pixels = np.asarray(paint_boxes(black(), Boxes((box,)), NAMES))
    named = np.asarray(paint_boxes(black(), Boxes((Box("cat", 100, 50, 100, 50),)), NAMES))
    full = (named == COLOURS[0]).all(axis=2).sum()
    assert (pixels == COLOURS[0]).all(axis=2).sum() >= 0.9 * full


def test_ignored_and_unknown_boxes_are_grey_and_turned_ones_are_drawn() -> None:
    boxes = Boxes((Box("cat", 10, 40, 50, 80, ignored=True), Box("cow", 150, 80, 100, 40)))
    assert COLOURS[0] not in colours_of(paint_boxes(black(), boxes, NAMES))
    assert GREY in colours_of(paint_boxes(black(), boxes, NAMES))


def test_likely_boxes_lie_above_others_and_say_so() -> None:
    boxes = Boxes((Box("cat", 50, 40, 90, 80), Box("dog", 50, 40, 90, 80)))
    first = np.asarray(paint_boxes(black(), boxes, NAMES, [0.9, 0.2]))
    second = np.asarray(paint_boxes(black(), boxes, NAMES, [0.2, 0.9]))
    assert tuple(first[79, 60]) == COLOURS[0]
    assert tuple(second[79, 60]) == COLOURS[1]
    one = Boxes(boxes.boxes[:1])
    assert (np.asarray(paint_boxes(black(), one, NAMES, [0.9])) != np.asarray(paint_boxes(black(), one, NAMES))).any()


def test_a_mask_tints_all_but_the_background_and_names_its_colours_below() -> None:
    classes = np.zeros((100, 200), np.uint8)
    classes[:50, :50], classes[50:, :50] = 1, IGNORED
    painted = paint_mask(Image.new("L", (200, 100), 200), classes, NAMES)
    pixels = np.asarray(painted)
    assert painted.width == 200
    assert painted.height > 100
    assert pixels[20, 20] == pytest.approx([(200 + value) / 2 for value in COLOURS[0]], abs=0.5)
    assert tuple(pixels[80, 20]) == ((200 + 128) // 2,) * 3
    assert tuple(pixels[20, 100]) == (200, 200, 200)
    legend = {tuple(colour) for colour in pixels[100:].reshape(-1, 3)}
    assert COLOURS[0] in legend
    assert COLOURS[1] not in legend


def test_many_classes_are_named_in_several_lines() -> None:
    names = [f"class number {number}" for number in range(20)]
    classes = np.arange(200 * 100).reshape(100, 200) % 20
    assert paint_mask(black(), classes.astype(np.uint8), names).height > 200


def test_an_image_of_background_alone_stays_as_it_is() -> None:
    painted = paint_mask(black(), np.zeros((100, 200), np.uint8), NAMES)
    assert painted.size == (200, 100)
    assert colours_of(painted) == {(0, 0, 0)}


def test_a_mask_of_another_size_is_not_painted() -> None:
    with pytest.raises(ValueError, match=r"a mask of \(100, 200\) cannot be painted on an image of \(200, 100\)"):
        paint_mask(black(), np.zeros((200, 100), np.uint8), NAMES)


@settings(deadline=None)
@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.sampled_from([0, 1, 2, IGNORED])))
def test_a_mask_that_is_written_is_read_back(tmp_path_factory, classes) -> None:
    file = Path(tmp_path_factory.mktemp("mask"), "a.png")
    mask_image(classes, NAMES).save(file)
    names = {str(number): name for number, name in enumerate(NAMES)}
    mask = Mask(path=file, names=names, ignored=frozenset({"255"}))
    assert (class_map(mask, NAMES, (classes.shape[1], classes.shape[0])) == classes).all()
    by_colour = {"#{:02x}{:02x}{:02x}".format(*colour): name for name, colour in palette(NAMES).items()}
    mask = Mask(path=file, names=by_colour, ignored=frozenset({"#808080"}))
    assert (class_map(mask, NAMES, (classes.shape[1], classes.shape[0])) == classes).all()
