"""YOLO folders."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from graftwork import Box, Boxes, DataError, Mask, Region
from graftwork_image.annotations.yolo import YoloReader
from graftwork_image.reader import ORIENTATION

READER = YoloReader()
ONE = "1 0.5 0.5 0.25 0.5\n"
CAT = Boxes((Box("dog", 3, 1.5, 5, 4.5),), (8, 6))


def only(place: Path, kind: str = "boxes") -> object:
    (example,) = READER.read(place, kind).examples
    return example.label


share = st.integers(0, 64).map(lambda value: value / 64)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 1), share, share, share, share), min_size=1), st.booleans())
def test_boxes_are_read_as_they_were_written(things, beside) -> None:
    text = "\n".join(f"{number} {x} {y} {w} {h}" for number, x, y, w, h in things)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image, file = (
            (folder / "a.png", folder / "a.txt") if beside else (folder / "images/a.png", folder / "labels/a.txt")
        )
        image.parent.mkdir(exist_ok=True)
        file.parent.mkdir(exist_ok=True)
        Image.new("L", (128, 64)).save(image)
        file.write_text(text)
        (folder / "classes.txt").write_text("cat\ndog\n")
        assert READER.fits(folder)
        (example,) = READER.read(folder, "boxes").examples
    boxes = tuple(
        Box(("cat", "dog")[number], (x - w / 2) * 128, (y - h / 2) * 64, (x + w / 2) * 128, (y + h / 2) * 64)
        for number, x, y, w, h in things
    )
    assert (example.input, example.label) == (image, Boxes(boxes, (128, 64)))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.tuples(share, share), min_size=3, max_size=6), min_size=1))
def test_outlines_are_read_as_they_were_written(polygons) -> None:
    lines = ["0 " + " ".join(f"{x} {y}" for x, y in corners) for corners in polygons]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Image.new("L", (128, 64)).save(folder / "a.png")
        (folder / "a.txt").write_text("\n".join(lines))
        (folder / "classes.txt").write_text("cat")
        label, boxes = only(folder, "mask"), only(folder, "boxes")
    moved = [tuple(value for x, y in corners for value in (x * 128, y * 64)) for corners in polygons]
    assert label == Mask(regions=tuple(Region("cat", polygons=(corners,)) for corners in moved), size=(128, 64))
    assert [(box.xmin, box.ymax) for box in boxes.boxes] == [(min(c[::2]), max(c[1::2])) for c in moved]


@pytest.mark.parametrize("order", ["{split}/{kind}/a", "{kind}/{split}/a", "{split}/a"])
def test_splits_may_be_above_or_below(tmp_path, images, write, order) -> None:
    for split in ("train", "valid"):
        images(order.format(split=split, kind="images") + ".png")
        write(order.format(split=split, kind="labels") + ".txt", ONE)
    write("data.yaml", "train: ../train/images\nnc: 2\nnames: ['cat', \"dog\"]\n")
    assert READER.fits(tmp_path)
    assert [(example.split, example.label) for example in READER.read(tmp_path, "boxes").examples] == [
        ("train", CAT), ("validation", CAT),
    ]  # fmt: skip


def test_an_empty_text_is_an_empty_image_and_a_missing_one_unlabelled(tmp_path, images, write) -> None:
    images("images/a.png", "images/b.png", "images/c.png")
    write("labels/a.txt", "\n")
    write("labels/c.txt", ONE)
    write("data.yaml", "names:\n  0: cat\n  1: dog\n")
    assert READER.fits(tmp_path)
    assert [example.label for example in READER.read(tmp_path, "boxes").examples] == [Boxes((), (8, 6)), None, CAT]


def test_empty_texts_alone_are_labels_where_classes_are_named(tmp_path, images, write) -> None:
    images("images/a.png")
    write("labels/a.txt", "")
    assert not READER.fits(tmp_path)
    write("classes.txt", "cat")
    assert READER.fits(tmp_path)


@pytest.mark.parametrize("tag", range(1, 9))
def test_coordinates_are_those_of_the_upright_image(tmp_path, write, tag) -> None:
    image = Image.new("L", (8, 6))
    image.getexif()[ORIENTATION] = tag
    image.save(tmp_path / "a.jpg", exif=image.getexif())
    write("a.txt", "0 0.5 0.5 1 1")
    write("classes.txt", "cat")
    size = (6, 8) if tag > 4 else (8, 6)
    assert only(tmp_path) == Boxes((Box("cat", 0, 0, *size),), size)


@pytest.mark.parametrize(
    "text",
    ["names: [cat, dog]", "names:\n- cat\n- dog", "nc: 2\nnames:\n  0: cat\n  1: dog", "names: {0: cat, 1: 'dog'}"],
)
def test_names_are_read_as_tools_write_them(tmp_path, images, write, text) -> None:
    images("a.png")
    write("a.txt", ONE)
    write("data.yaml", text)
    assert only(tmp_path) == CAT


def test_classes_keep_the_names_that_yaml_would_read_otherwise(tmp_path, images, write) -> None:
    images("a.png")
    write("a.txt", ONE)
    write("data.yaml", "names: [1.0, no]")
    assert only(tmp_path).boxes[0].label == "no"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("names: 5", "names of '{}' is '5'; a list of names, or a name for each number, is accepted."),
        ("nc: 2", "names of '{}' is missing; a list of names, or a name for each number, is accepted."),
        ("names: [cat, [dog]]", "names[1] of '{}' is ['dog']; a list of names, or a name for each number, is accepted."),
        ("names: {a: cat}", "names[a] of '{}' is 'cat'; a list of names, or a name for each number, is accepted."),
        ("nc: 2\nnames: [cat", "Line 2 of '{}' is not YAML: expected ',' or ']', but got '<stream end>'."),
        ("names: !!python/object/apply:os.system [ls]", "Line 1 of '{}' is not YAML: could not determine a constructor for the tag 'tag:yaml.org,2002:python/object/apply:os.system'."),
        ("kpt_shape: [17, 3]\nnames: [cat]", "'{}' describes key points (kpt_shape), which no task learns; boxes and outlines are accepted."),
    ],
)  # fmt: skip
def test_classes_that_cannot_be_read_are_named(tmp_path, images, write, text, said) -> None:
    images("a.png")
    write("a.txt", ONE)
    file = write("data.yaml", text)
    with pytest.raises(DataError) as error:
        READER.read(tmp_path, "boxes")
    assert error.value.message == said.format(file)


def test_classes_that_nobody_named_are_asked_for(tmp_path, images, write) -> None:
    images("a.png")
    write("a.txt", ONE)
    with pytest.raises(DataError) as error:
        READER.read(tmp_path, "boxes")
    assert error.value.message == (
        f"The YOLO labels of '{tmp_path}' have classes by number, and no file names them; data.yaml, classes.txt are accepted."
    )
    assert error.value.hint == f"Write the names, one a line from class 0 on, into '{tmp_path / 'classes.txt'}'."


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        ("2 .5 .5 .1 .1", "boxes", "The class in line 2 of '{}' is '2'; a class of 0 to 1 is accepted."),
        ("-1 .5 .5 .1 .1", "boxes", "The class in line 2 of '{}' is '-1'; a class of 0 to 1 is accepted."),
        ("0 .5 .5 .1", "boxes", "Line 2 of '{}' is '0 .5 .5 .1'; class, x, y, width and height, or class with x and y of at least three corners, are accepted."),
        ("0 .5 .5 .1 .1 .9", "boxes", "Line 2 of '{}' is '0 .5 .5 .1 .1 .9'; class, x, y, width and height, or class with x and y of at least three corners, are accepted."),
        ("0 .5 .5 .1 nan", "boxes", "Line 2 of '{}' is 'nan'; class, x, y, width and height, or class with x and y of at least three corners, are accepted."),
        ("0 .5 .5 .1 .1", "mask", "Line 2 of '{}' has a box and no outline; for masks an outline of each thing is accepted."),
    ],
)  # fmt: skip
def test_a_malformed_line_is_named(tmp_path, images, write, line, kind, said) -> None:
    images("a.png")
    file = write("a.txt", f"0 0 0 1 0 1 1\n{line}\n")
    write("classes.txt", "cat\ndog\n")
    with pytest.raises(DataError) as error:
        READER.read(tmp_path, kind)
    assert error.value.message == said.format(file)


def test_a_text_of_no_image_is_refused(tmp_path, images, write) -> None:
    images("images/a.png")
    file = write("labels/b.txt", ONE)
    write("classes.txt", "cat\ndog\n")
    with pytest.raises(DataError) as error:
        READER.read(tmp_path, "boxes")
    assert error.value.message == (
        f"'{file}' is the text of no image in '{tmp_path / 'images'}' (1 of 1 are not); an image of the same name is accepted."
    )


def test_other_folders_are_not_taken_for_it(tmp_path, images, write) -> None:
    images("a.png", "cat/b.png")
    write("a.txt", "A caption of five words.")
    write("readme.txt", ONE)
    assert not READER.fits(tmp_path)
    assert not READER.fits(tmp_path / "a.txt")
    assert not READER.fits(tmp_path / "cat")
