"""What lies in an image moves as the image does, and back."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from graftwork import Box, Boxes, DataError
from graftwork_image import augment, prepare
from graftwork_image.geometry import Placement, clipped, unclear, upright
from graftwork_image.reader import ORIENTATION

NEAREST = Image.Resampling.NEAREST
TAGS = range(1, 9)
sides = st.integers(1, 12)
sizes = st.tuples(sides, sides)


@st.composite
def placements(draw, resized=sizes, whole: bool = False) -> Placement:
    """Up to 4 steps. whole: none cuts anything off, and sizes grow by whole numbers."""
    found = Placement(draw(sizes))
    for kind in draw(st.lists(st.sampled_from(["turn", "mirror", "resize", "crop", "pad"]), max_size=4)):
        width, height = found.size
        if kind == "turn":
            found = found.turned(draw(st.sampled_from(TAGS)))
        elif kind == "mirror":
            found = found.mirrored()
        elif kind == "resize" and whole:
            found = found.resized((width * draw(st.integers(1, 3)), height * draw(st.integers(1, 3))))
        elif kind == "resize":
            found = found.resized(draw(resized))
        elif kind == "crop" and not whole:
            found = found.cropped(draw(st.integers(-3, 9)), draw(st.integers(-3, 9)), draw(sides), draw(sides))
        else:
            found = found.padded(*(draw(st.integers(0, 3)) for _ in range(4)))
    return found


boxes_strategy = st.lists(st.tuples(*[st.floats(-20, 20)] * 4), min_size=1, max_size=5).map(np.array)


@settings(deadline=None)
@given(placements(), boxes_strategy)
def test_boxes_and_points_go_there_and_back(placement, boxes) -> None:
    back = placement.inverse()
    assert (back.source, back.size) == (placement.size, placement.source)
    assert np.allclose(back.boxes(placement.boxes(boxes)), boxes)
    assert np.allclose(back.points(placement.points(boxes[:, :2])), boxes[:, :2])
    assert np.allclose(placement.then(back).boxes(boxes), boxes)


@settings(deadline=None)
@given(placements(whole=True), st.data())
def test_masks_and_images_that_are_cut_nowhere_go_there_and_back(placement, data) -> None:
    width, height = placement.source
    pixels = np.array(data.draw(st.lists(st.integers(0, 254), min_size=width * height, max_size=width * height)))
    mask = pixels.reshape(height, width).astype(np.uint8)
    back = placement.inverse()
    assert (back.mask(placement.mask(mask, 255), 255) == mask).all()
    moved = back.image(placement.image(Image.fromarray(mask), NEAREST), NEAREST)
    assert (np.asarray(moved) == mask).all()


@settings(deadline=None)
@given(placements(), st.data())
def test_masks_move_as_images_do(placement, data) -> None:
    width, height = placement.source
    pixels = np.array(data.draw(st.lists(st.integers(0, 255), min_size=width * height, max_size=width * height)))
    mask = pixels.reshape(height, width).astype(np.uint8)
    moved = placement.mask(mask, 0)
    assert moved.shape == placement.size[::-1]
    assert (moved == np.asarray(placement.image(Image.fromarray(mask), NEAREST))).all()


@settings(deadline=None)
@given(placements(), placements(), boxes_strategy)
def test_one_after_the_other_is_both(first, second, boxes) -> None:
    second = Placement(first.size, second.steps)
    both = first.then(second)
    assert np.allclose(both.boxes(boxes), second.boxes(first.boxes(boxes)))
    assert both.size == second.size


def painted(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    image = Image.new("L", size)
    image.paste(255, box)
    return image


@st.composite
def image_with_box(draw) -> tuple[Placement, tuple[int, int, int, int]]:
    placement = draw(placements(whole=True))
    width, height = placement.source
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return placement, (left, top, draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height)))


@settings(deadline=None)
@given(image_with_box())
def test_a_box_is_where_the_image_of_it_is(placed) -> None:
    placement, box = placed
    moved = placement.image(painted(placement.source, box), NEAREST)
    assert moved.getbbox() == tuple(placement.boxes(np.array([box], float))[0])


@settings(deadline=None)
@given(image_with_box(), st.data())
def test_a_cropped_box_is_where_the_image_of_it_is(placed, data) -> None:
    placement, box = placed
    placement = placement.cropped(*(data.draw(st.integers(0, 9)) for _ in range(2)), *data.draw(sizes))
    moved = placement.image(painted(placement.source, box), NEAREST)
    (cut,), (kept,) = clipped(placement.boxes(np.array([box], float)), placement.size)
    assert (moved.getbbox() is None) == (kept == 0)
    assert moved.getbbox() is None or moved.getbbox() == tuple(cut)


@pytest.mark.parametrize("tag", TAGS)
def test_an_exif_turn_moves_boxes_as_pillow_moves_the_image(tag) -> None:
    box = (1, 2, 4, 3)
    image = painted((7, 5), box)
    image.getexif()[ORIENTATION] = tag
    turned = ImageOps.exif_transpose(image)
    placement = Placement((7, 5)).turned(tag)
    assert turned.size == placement.size
    assert turned.getbbox() == tuple(placement.boxes(np.array([box], float))[0])


def test_flips_and_quarter_turns_are_what_they_are_called() -> None:
    place = Placement((10, 6))
    box = np.array([[1.0, 2.0, 4.0, 3.0]])
    assert place.mirrored().boxes(box).tolist() == [[6, 2, 9, 3]]
    assert place.turned(4).boxes(box).tolist() == [[1, 3, 4, 4]]
    assert place.turned(6).boxes(box).tolist() == [[3, 1, 4, 4]]  # clockwise: the top goes to the right
    assert place.turned(6).size == (6, 10)


@settings(deadline=None)
@given(placements(), boxes_strategy)
def test_tensors_move_as_arrays_do(placement, boxes) -> None:
    assert np.allclose(placement.boxes(torch.from_numpy(boxes)).numpy(), placement.boxes(boxes))
    assert np.allclose(placement.points(torch.from_numpy(boxes[:, :2])).numpy(), placement.points(boxes[:, :2]))
    cut, kept = clipped(torch.from_numpy(boxes), placement.source)
    assert np.allclose(cut.numpy(), clipped(boxes, placement.source)[0])
    assert np.allclose(kept.numpy(), clipped(boxes, placement.source)[1])


def test_no_boxes_move_too() -> None:
    assert Placement((4, 4)).turned(5).boxes(np.zeros((0, 4))).shape == (0, 4)
    assert Placement((4, 2)).turned(6).label(Boxes()) == Boxes((), (2, 4))


def test_labels_keep_their_names_and_what_is_ignored() -> None:
    label = Boxes((Box("cat", 1, 2, 4, 3, ignored=True),), (10, 6))
    moved = Placement((10, 6)).resized((20, 6)).mirrored().label(label)
    assert moved == Boxes((Box("cat", 12, 2, 18, 3, ignored=True),), (20, 6))
    assert Placement((10, 6)).mirrored().polygon((0, 0, 3, 0, 3, 2)) == (10, 0, 7, 0, 7, 2)


def test_a_box_keeps_the_share_of_it_that_is_inside() -> None:
    cut, kept = clipped(np.array([[-2.0, 0, 2, 2], [0, 0, 1, 1], [9, 9, 12, 12], [1, 1, 1, 3]]), (4, 4))
    assert cut.tolist() == [[0, 0, 2, 2], [0, 0, 1, 1], [4, 4, 4, 4], [1, 1, 1, 3]]
    assert kept.tolist() == [0.5, 1, 0, 0]


@pytest.mark.parametrize("tag", TAGS)
def test_labels_of_the_stored_and_of_the_upright_image_end_in_one_place(tag) -> None:
    stored, box = (7, 5), np.array([[1.0, 2.0, 4.0, 3.0]])
    turned = Placement(stored).turned(tag)
    assert upright(turned.size, stored, tag).boxes(turned.boxes(box)).tolist() == turned.boxes(box).tolist()
    if turned.size != stored:
        assert upright(stored, stored, tag).boxes(box).tolist() == turned.boxes(box).tolist()
    assert unclear(turned.size, stored, tag) == (tag in (2, 3, 4))


def test_labels_of_squares_are_taken_as_upright() -> None:
    assert upright((5, 5), (5, 5), 6) == upright(None, (5, 5), 6) == Placement((5, 5))
    assert upright(None, (5, 3), 6) == Placement((3, 5))
    assert unclear((5, 5), (5, 5), 6)
    assert unclear(None, (5, 3), 6)
    assert not unclear((5, 5), (5, 5), 1)
    assert not unclear((5, 3), (5, 3), 6)


def test_labels_of_an_image_of_another_size_are_refused() -> None:
    with pytest.raises(DataError) as error:
        upright((640, 480), (500, 400), 6)
    assert error.value.message == (
        "Labels drawn on an image of 640 x 480 pixels were given with one of 500 x 400 (400 x 500 upright); those of an image of the same size are accepted."
    )
    with pytest.raises(DataError, match="with one of 500 x 400; those of"):
        upright((640, 480), (500, 400), 3)


def test_what_is_of_another_size_is_not_moved() -> None:
    with pytest.raises(ValueError, match=r"an image of \(4, 4\) cannot be moved as one of \(5, 5\)"):
        Placement((5, 5)).image(Image.new("L", (4, 4)))
    with pytest.raises(ValueError, match=r"a mask of \(4, 3\) cannot be moved as an image of \(5, 5\)"):
        Placement((5, 5)).mask(np.zeros((3, 4)), 0)
    with pytest.raises(ValueError, match=r"an image of \(5, 5\) cannot be moved as one of \(4, 4\)"):
        Placement((5, 5)).then(Placement((4, 4)))


@settings(deadline=None, max_examples=50)
@given(st.tuples(st.integers(8, 60), st.integers(8, 60)), st.integers(0, 1 << 32), st.data())
def test_an_augmented_box_is_where_the_image_of_it_is(size, seed, data) -> None:
    left, top = data.draw(st.integers(0, size[0] - 2)), data.draw(st.integers(0, size[1] - 2))
    box = (left, top, data.draw(st.integers(left + 1, size[0])), data.draw(st.integers(top + 1, size[1])))
    placement = augment.moved(size, random.Random(seed))
    moved = (
        augment.build()(painted(size, box).convert("RGB"), random.Random(seed))
        .convert("L")
        .point(lambda v: v > 127 and 255)
    )
    (cut,), _ = clipped(placement.boxes(np.array([box], float)), placement.size)
    assert placement.size == (min(size), min(size))
    if min(cut[2:] - cut[:2]) >= 2:
        assert moved.getbbox() == pytest.approx(tuple(cut), abs=1.01)


@settings(deadline=None, max_examples=50)
@given(
    st.tuples(st.integers(8, 60), st.integers(8, 60)),
    st.integers(8, 60) | st.tuples(st.integers(8, 60), st.integers(8, 60)),
    st.integers(8, 60),
)
def test_a_prepared_image_is_moved_as_its_placement_says(size, resize, crop) -> None:
    preparation = {"resize": resize, "crop": crop}
    placement = prepare.moved(size, preparation)
    assert placement.size == (crop, crop)
    (whole,) = placement.boxes(np.array([[0.0, 0, *size]]))
    sides = (min(whole[2:] - whole[:2]),) if isinstance(resize, int) else tuple((whole[2:] - whole[:2])[::-1])
    assert sides == pytest.approx((resize,) if isinstance(resize, int) else resize)
    assert np.allclose((whole[:2] + whole[2:]) / 2, crop / 2, atol=1)  # its middle stays the middle
