"""Masks become the class of each pixel, or a sentence."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from graftwork import DataError, Mask, Region, Unreadable, UsageError
from graftwork_image.geometry import Placement
from graftwork_image.masks import BACKGROUND, IGNORED, class_map, classes_in, inside, levels, size_of
from graftwork_image.polygons import fill
from graftwork_image.runs import runs_of

SIZE = (4, 3)


def png(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def grey(rows: list[list[int]], **fields) -> Mask:
    return Mask(content=png(Image.fromarray(np.array(rows, np.uint8))), **fields)


def coloured(rows: list[list[tuple[int, int, int]]], **fields) -> Mask:
    return Mask(content=png(Image.fromarray(np.array(rows, np.uint8))), **fields)


def palette(rows: list[list[int]], colours: list[int], **fields) -> Mask:
    image = Image.fromarray(np.array(rows, np.uint8)).convert("P")
    image.frombytes(np.array(rows, np.uint8).tobytes())
    image.putpalette(colours)
    return Mask(content=png(image), **fields)


corner = st.floats(-3, 12).map(lambda value: round(value, 2))
polygon = st.lists(corner, min_size=6, max_size=12).filter(lambda values: len(values) % 2 == 0)


def crossings(x: float, y: float, corners: list[float]) -> int:
    points = list(zip(corners[::2], corners[1::2], strict=True))
    count = 0
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
        if (ay <= y) != (by <= y):
            count += ax + (y - ay) * ((bx - ax) / (by - ay)) <= x
    return count


@settings(deadline=None)
@given(st.lists(polygon, max_size=3), st.integers(1, 9), st.integers(1, 9))
def test_polygons_cover_the_pixels_whose_centres_are_inside(polygons, width, height) -> None:
    rows, columns, part = fill(polygons, (width, height))
    found = np.zeros((height, width), bool)
    found[rows, columns] = part
    for row in range(height):
        for column in range(width):
            count = sum(crossings(column + 0.5, row + 0.5, corners) for corners in polygons)
            assert found[row, column] == (count % 2 == 1), (row, column)


@settings(deadline=None)
@given(st.integers(0, 7), st.integers(0, 7), st.integers(1, 8), st.integers(1, 8))
def test_a_rectangle_covers_the_pixels_of_its_box(left, top, width, height) -> None:
    corners = (left, top, left + width, top, left + width, top + height, left, top + height)
    expected = np.zeros((9, 8), bool)
    expected[top : top + height, left : left + width] = True
    assert (inside(Region("a", polygons=(corners,)), (8, 9)) == expected).all()


def test_a_polygon_in_another_is_a_hole() -> None:
    region = Region("a", polygons=((0, 0, 3, 0, 3, 3, 0, 3), (1, 1, 2, 1, 2, 2, 1, 2)))
    assert inside(region, (3, 3)).tolist() == [[True] * 3, [True, False, True], [True] * 3]


@settings(deadline=None)
@given(st.integers(0, 1 << 32), st.integers(3, 6), st.integers(1, 2), st.sampled_from(range(1, 9)))
def test_outlines_move_as_their_pixels_do(seed, corners, count, tag) -> None:
    # Drawn by chance, so that no edge runs through the centre of a pixel.
    polygons = np.random.default_rng(seed).uniform(-2, 11, (count, 2 * corners)).tolist()
    placement = Placement((9, 6)).turned(tag)
    moved = Region("a", polygons=tuple(placement.polygon(corners) for corners in polygons))
    before = inside(Region("a", polygons=tuple(map(tuple, polygons))), (9, 6)).astype(np.uint8)
    assert (inside(moved, placement.size) == placement.mask(before, 0)).all()


@settings(deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_runs_cover_their_pixels(array) -> None:
    size = (array.shape[1], array.shape[0])
    found = class_map(Mask(regions=(Region("a", runs=runs_of(array)),), size=size), [BACKGROUND, "a"], size)
    assert (found == array).all()


def test_later_regions_lie_over_earlier_ones() -> None:
    left, all_of_it = (0, 0, 2, 0, 2, 3, 0, 3), (0, 0, 4, 0, 4, 3, 0, 3)
    mask = Mask(regions=(Region("a", (all_of_it,)), Region("b", (left,))), size=SIZE)
    assert class_map(mask, ["b", "a"], SIZE).tolist() == [[0, 0, 1, 1]] * 3
    assert classes_in(mask) == {BACKGROUND, "a", "b"}
    assert size_of(mask) == SIZE


def test_regions_and_background_may_be_ignored() -> None:
    left = (0, 0, 2, 0, 2, 3, 0, 3)
    mask = Mask(regions=(Region("a", (left,)),), size=SIZE, ignored=frozenset({"a"}))
    assert class_map(mask, [BACKGROUND], SIZE).tolist() == [[IGNORED] * 2 + [0] * 2] * 3
    mask = Mask(regions=(Region("a", (left,)),), size=SIZE, ignored=frozenset({BACKGROUND}))
    assert class_map(mask, ["a"], SIZE).tolist() == [[0] * 2 + [IGNORED] * 2] * 3


def test_grey_levels_are_their_own_names_or_have_them() -> None:
    rows = [[0, 7, 255], [0, 0, 7]]
    assert levels(grey(rows)) == {"0": 3, "7": 2, "255": 1}
    assert class_map(grey(rows), ["0", "255", "7"], (3, 2)).tolist() == [[0, 2, 1], [0, 0, 2]]
    named = grey(rows, names={"0": "ground", "7": "cell", "255": "ground"})
    assert class_map(named, ["cell", "ground"], (3, 2)).tolist() == [[1, 0, 1], [1, 1, 0]]
    assert classes_in(named) == {"cell", "ground"}
    border = grey(rows, names={"0": "ground", "7": "cell"}, ignored=frozenset({"255"}))
    assert class_map(border, ["cell", "ground"], (3, 2)).tolist() == [[1, 0, IGNORED], [1, 1, 0]]
    assert classes_in(border) == {"cell", "ground"}


def test_deep_and_flat_levels_are_read() -> None:
    deep = Mask(content=png(Image.fromarray(np.array([[0, 1000], [7, 7]], np.uint16))))
    assert levels(deep) == {"0": 1, "7": 2, "1000": 1}
    assert class_map(deep, ["7", "0", "1000"], (2, 2)).tolist() == [[1, 2], [0, 0]]
    flat = Mask(content=png(Image.fromarray(np.array([[0, 255], [0, 0]], np.uint8)).convert("1")))
    assert levels(flat) == {"0": 3, "1": 1}


def test_a_palette_is_read_by_index_or_by_colour() -> None:
    rows, colours = [[0, 2], [1, 1]], [0, 0, 0, 255, 0, 0, 0, 0, 255]
    assert levels(palette(rows, colours)) == {"0": 1, "1": 2, "2": 1}
    named = palette(rows, colours, names={"#000000": "ground", "#ff0000": "red", "#0000ff": "blue"})
    assert levels(named) == {"#000000": 1, "#0000ff": 1, "#ff0000": 2}
    assert class_map(named, ["red", "blue", "ground"], (2, 2)).tolist() == [[2, 1], [0, 0]]


def test_colours_have_names_or_are_their_own() -> None:
    rows = [[(255, 0, 0), (0, 0, 255)]]
    assert levels(coloured(rows)) == {"#0000ff": 1, "#ff0000": 1}
    named = coloured(rows, names={"#ff0000": "red", "#0000ff": "blue"})
    assert class_map(named, ["red", "blue"], (2, 1)).tolist() == [[0, 1]]
    greyish = coloured([[(7, 7, 7), (0, 0, 0)]], names={"0": "ground", "7": "cell"})
    assert class_map(greyish, ["ground", "cell"], (2, 1)).tolist() == [[1, 0]]


def test_an_opaque_alpha_is_no_part_of_a_mask_and_a_clear_one_refused() -> None:
    image = Image.new("RGBA", (1, 1), (255, 0, 0, 255))
    assert levels(Mask(content=png(image))) == {"#ff0000": 1}
    assert levels(Mask(content=png(Image.new("LA", (1, 1), (9, 255))))) == {"9": 1}
    with pytest.raises(DataError, match="The mask 'a mask' is partly transparent, so that its colours are not those"):
        levels(Mask(content=png(Image.new("RGBA", (1, 1), (255, 0, 0, 9)))))


def test_an_image_without_levels_is_no_mask() -> None:
    with pytest.raises(DataError, match="is an image of mode CMYK; grey levels, a palette and RGB are accepted"):
        levels(Mask(content=png(Image.new("CMYK", (1, 1)), "TIFF")))
    with pytest.raises(Unreadable, match="'a mask' is a text .*; an image is accepted"):
        levels(Mask(content=b"none at all, whatever one does"))


@settings(deadline=None)
@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_every_pixel_has_the_class_of_its_level(rows) -> None:
    names = [str(level) for level in range(255)]
    mask = Mask(content=png(Image.fromarray(rows)), ignored=frozenset({"255"}))
    assert (class_map(mask, names, (rows.shape[1], rows.shape[0])) == rows).all()


@pytest.mark.parametrize(
    ("mask", "names", "said"),
    [
        (grey([[0, 7, 7]], names={"0": "a"}), ["a"], "The mask 'a mask' has the level 7 in 2 pixels, which has no name; named are 0 (a)."),
        (coloured([[(1, 2, 3)] * 3], names={f"#{n:06x}": "a" for n in range(7)}), ["a"], "The mask 'a mask' has the colour #010203 in 3 pixels, which has no name; named are #000000 (a), #000001 (a), #000002 (a), #000003 (a), #000004 (a) and 2 more."),
        (grey([[0, 0, 7]], names={"0": "a", "7": "b"}), ["a", "c"], "The mask 'a mask' has the class 'b' (7), which is none of those to tell apart: a, c."),
        (grey([[0, 0, 7]]), ["0"], "The mask 'a mask' has the class '7', which is none of those to tell apart: 0."),
        (grey([[0, 0]]), ["0"], "The mask 'a mask' has 2 x 1 pixels, and the image 3 x 1; a mask of the size of its image is accepted."),
        (Mask(size=(2, 2)), ["0"], "Outlines have 2 x 2 pixels, and the image 3 x 1; a mask of the size of its image is accepted."),
        (Mask(regions=(Region("b"),)), ["a", BACKGROUND], "A region has the class 'b', which is none of those to tell apart: a, background."),
        (Mask(regions=(Region("a", ((0, 0, 1, 0, 1, 1, 0, 1),)),)), ["a"], "2 pixels lie in no region, so that their class is 'background', which is none of those to tell apart: a."),
        (Mask(regions=(Region("a", runs=(1, 4)),)), ["a", BACKGROUND], "A region 'a' has runs of 5 pixels for an image of 3 x 1; runs of all of its pixels are accepted."),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_named(mask, names, said) -> None:
    with pytest.raises(DataError) as error:
        class_map(mask, names, (3, 1))
    assert error.value.message == said


def test_more_classes_than_a_byte_counts_are_refused() -> None:
    with pytest.raises(UsageError, match="256 classes of pixels were given; at most 255 are accepted"):
        class_map(grey([[0]]), [str(number) for number in range(256)], (1, 1))


def test_the_size_of_a_mask_image_is_in_its_header(tmp_path) -> None:
    Image.new("L", (5, 4)).save(tmp_path / "a.png")
    assert size_of(Mask(path=tmp_path / "a.png")) == (5, 4)
