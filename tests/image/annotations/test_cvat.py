"""Files of CVAT for images."""

from __future__ import annotations

import tempfile
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork import Box, Boxes, DataError, Mask, Region
from graftwork_image.annotations.cvat import CvatReader
from graftwork_image.masks import class_map
from graftwork_image.polygons import around, ellipse, fill

READER = CvatReader()


def cvat(*shapes: str, name: str = "a.png", more: str = "", behind: str = "") -> str:
    inside = "\n".join(shapes)
    return f"""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta/>
<image id="0" name={quoteattr(name)} width="8" height="6" {more}>
{inside}
</image>{behind}</annotations>"""


def only(place: Path, kind: str = "boxes") -> object:
    (example,) = READER.read(place, kind).examples
    return example.label


BOX = (
    '<box label="cat" occluded="0" xtl="1" ytl="2" xbr="5" ybr="6" z_order="0"><attribute name="a">b</attribute></box>'
)
SQUARE = '<polygon label="{}" points="0,0;2,0;2,6;0,6" z_order="{}"/>'
names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1)
number = st.floats(-1e4, 1e4)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.builds(Box, names, number, number, number, number)))
def test_boxes_are_read_as_they_were_written(boxes) -> None:
    shapes = [
        f'<box label={quoteattr(box.label)} xtl="{box.xmin!r}" ytl="{box.ymin!r}" xbr="{box.xmax!r}" ybr="{box.ymax!r}"/>'
        for box in boxes
    ]
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "annotations.xml")
        file.write_text(cvat(*shapes), encoding="utf-8")
        assert READER.fits(file)
        assert READER.fits(file.parent)
        assert only(file) == Boxes(tuple(boxes), (8, 6))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.tuples(number, number), min_size=3, max_size=6)))
def test_outlines_are_read_as_they_were_written(polygons) -> None:
    shapes = [f'<polygon label="cat" points="{";".join(f"{x!r},{y!r}" for x, y in corners)}"/>' for corners in polygons]
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "annotations.xml")
        file.write_text(cvat(*shapes), encoding="utf-8")
        label, boxes = only(file, "mask"), only(file)
    flat = [tuple(value for corner in corners for value in corner) for corners in polygons]
    assert label == Mask(regions=tuple(Region("cat", polygons=(corners,)) for corners in flat), size=(8, 6))
    assert [(box.xmin, box.ymin, box.xmax, box.ymax) for box in boxes.boxes] == [around(corners) for corners in flat]


def test_shapes_are_painted_in_their_z_order(write) -> None:
    file = write("a.xml", cvat(SQUARE.format("over", 1), SQUARE.format("under", -1), SQUARE.format("middle", 0)))
    assert [region.label for region in only(file, "mask").regions] == ["under", "middle", "over"]


def test_masks_are_unpacked_row_by_row_inside_their_part(write) -> None:
    file = write("a.xml", cvat('<mask label="cat" rle="1, 2, 1, 2" left="3" top="1" width="2" height="3"/>'))
    expected = np.zeros((6, 8), np.uint8)
    expected[1:4, 3:5] = [[0, 1], [1, 0], [1, 1]]
    assert (class_map(only(file, "mask"), ["background", "cat"], (8, 6)) == expected).all()
    assert only(file) == Boxes((Box("cat", 3, 1, 5, 4),), (8, 6))


def test_an_ellipse_is_a_polygon_of_its_area() -> None:
    part = fill([ellipse(50, 40, 30, 20)], (100, 80))[2]
    assert part.sum() == pytest.approx(np.pi * 30 * 20, rel=0.005)
    assert np.allclose(around(ellipse(50, 40, 30, 20)), (20, 20, 80, 60))
    assert np.allclose(around(ellipse(50, 40, 30, 20, 90)), (30, 10, 70, 70))
    down_right = np.reshape(ellipse(0, 0, 30, 1, 45), (-1, 2))[0]
    assert (down_right > 20).all()  # clockwise, as y goes down


def test_an_ellipse_is_read(write) -> None:
    file = write("a.xml", cvat('<ellipse label="cat" cx="4" cy="3" rx="2" ry="1"/>'))
    (box,) = only(file).boxes
    assert (box.xmin, box.ymin, box.xmax, box.ymax) == pytest.approx((2, 2, 6, 4))


def test_an_image_without_shapes_is_empty(write) -> None:
    assert only(write("a.xml", cvat())) == Boxes((), (8, 6))
    assert only(write("a.xml", cvat()), "mask") == Mask(size=(8, 6))


@pytest.mark.parametrize(
    ("image", "more", "split"),
    [
        ("a.png", "", ""), ("images/a.png", "", ""), ("images/Train/a.png", 'subset="Train"', "train"),
        ("default/a.png", 'subset="default"', ""), ("images/a.png", 'subset="Validation"', "validation"),
    ],
)  # fmt: skip
def test_images_are_found_where_cvat_puts_them(tmp_path, images, write, image, more, split) -> None:
    images(image)
    write("annotations.xml", cvat(BOX, more=more))
    (example,) = READER.read(tmp_path, "boxes").examples
    assert (example.input, example.split) == (tmp_path / image, split)


def test_what_is_neither_a_box_nor_an_outline_is_left_out_with_a_note(write) -> None:
    shapes = ('<points label="a" points="1,2"/>',) * 2 + ('<tag label="b"/>', BOX)
    read = READER.read(write("a.xml", cvat(*shapes, behind='<track id="0"/>')), "boxes")
    assert read.examples[0].label == Boxes((Box("cat", 1, 2, 5, 6),), (8, 6))
    assert read.notes == (
        "Shapes left out: 2 points, 1 tag.", "Tracks of a video left out: 1; export them as CVAT for images.",
    )  # fmt: skip


MASK = '<mask label="cat" rle="{}" left="{}" top="1" width="2" height="3"/>'


@pytest.mark.parametrize(
    ("shape", "kind", "said"),
    [
        (BOX.replace('xtl="1"', ""), "boxes", "xtl in line 4 of '{}' is missing; a number is accepted."),
        (BOX.replace('xtl="1"', 'xtl="b"'), "boxes", "xtl in line 4 of '{}' is 'b'; a number is accepted."),
        (BOX.replace('"cat"', '" "'), "boxes", "label in line 4 of '{}' is missing; the name of its class is accepted."),
        (BOX.replace('xtl="1"', 'xtl="1" rotation="30"'), "boxes", "Line 4 of '{}' has a box that is rotated; boxes along the edges of the image are accepted."),
        (BOX, "mask", "Line 4 of '{}' has a box and no outline; for masks an outline of each thing is accepted."),
        ('<polygon label="a" points="1,2;3,4"/>', "mask", "points in line 4 of '{}' is '1,2;3,4'; x,y;x,y;... of at least three corners is accepted."),
        ('<polygon label="a" points="1,2;3,4;5"/>', "boxes", "points in line 4 of '{}' is '1,2;3,4;5'; x,y;x,y;... of at least three corners is accepted."),
        ('<polygon label="a"/>', "boxes", "points in line 4 of '{}' is missing; x,y;x,y;... of at least three corners is accepted."),
        (MASK.format("1,2", 3), "mask", "rle in line 4 of '{}' is '1,2'; lengths whose sum is that of its pixels, 6, are accepted."),
        (MASK.format("a", 3), "mask", "rle in line 4 of '{}' is 'a'; whole numbers with commas between them are accepted."),
        (MASK.format("1,5", 7), "mask", "Line 4 of '{}' has a mask that reaches over the edges of its image of 8 x 6 pixels; one inside is accepted."),
    ],
)  # fmt: skip
def test_a_malformed_shape_is_named_with_its_line(write, shape, kind, said) -> None:
    file = write("a.xml", cvat(shape))
    with pytest.raises(DataError) as error:
        READER.read(file, kind)
    assert error.value.message == said.format(file)


def test_a_mask_in_an_image_of_any_size_that_the_file_says_is_not_unpacked(write) -> None:
    file = write("a.xml", cvat(MASK.format("1,5", 1)).replace('width="8"', 'width="99999999"'))
    with pytest.raises(
        DataError, match=r"line 4 of '.*' is \[99999999, 6\]; a mask of at most 268435456 pixels is accepted"
    ):
        READER.read(file, "mask")


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png"])
def test_a_name_that_leads_out_of_the_folder_is_refused(write, name) -> None:
    file = write("a.xml", cvat(name=name))
    with pytest.raises(
        DataError, match=f"The name of the image in line 3 of '{file}' names the image '{name}'; the name"
    ):
        READER.read(file, "boxes")
    file = write("a.xml", cvat(more='subset="../b"'))
    with pytest.raises(DataError, match=r"names the image '../b'; the name"):
        READER.read(file, "boxes")


def test_other_files_are_not_taken_for_it(tmp_path, write) -> None:
    assert not READER.fits(write("a.xml", "<annotation/>"))
    assert not READER.fits(write("b.txt", cvat()))
    assert not READER.fits(tmp_path)
