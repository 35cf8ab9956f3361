"""Pascal VOC folders."""

from __future__ import annotations

import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from graftwork import Box, Boxes, DataError, Mask
from graftwork_image.annotations.voc import CLASSES, VocReader

READER = VocReader()


def xml(boxes: Boxes, filename: str = "") -> str:
    size = boxes.size
    parts = [f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"] if size else []
    for box in boxes.boxes:
        sides = "".join(f"<{side}>{getattr(box, side)!r}</{side}>" for side in ("xmin", "ymin", "xmax", "ymax"))
        parts.append(
            f"<object><name>{escape(box.label)}</name>\n<difficult>{int(box.ignored)}</difficult>"
            f"<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part><bndbox>{sides}</bndbox></object>"
        )
    return f"<annotation><filename>{escape(filename)}</filename>\n{''.join(parts)}\n</annotation>"


CAT = Boxes((Box("cat", 1, 2, 5, 6), Box("dog", 0, 0, 8, 6, ignored=True)), (8, 6))

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1)
SIDES = st.floats(-10, 1e4)
BOXES = st.builds(
    Boxes,
    st.lists(st.builds(Box, NAMES, SIDES, SIDES, SIDES, SIDES, st.booleans())).map(tuple),
    st.none() | st.tuples(st.integers(1, 9999), st.integers(1, 9999)),
)


@settings(deadline=None, max_examples=50)
@given(BOXES)
def test_boxes_are_read_as_they_were_written(boxes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Image.new("L", (4, 4)).save(folder / "a.png")
        (folder / "a.xml").write_text(xml(boxes), encoding="utf-8")
        assert READER.fits(folder)
        (example,) = READER.read(folder, "boxes").examples
    assert (example.input, example.label, example.split) == (folder / "a.png", boxes, "")


def test_lists_say_the_split_of_each_image(tmp_path, images, write) -> None:
    images(*(f"JPEGImages/{stem}.jpg" for stem in "abcd"))
    for stem in "abc":
        write(f"Annotations/{stem}.xml", xml(CAT))
    write("ImageSets/Main/train.txt", "b\n\n")
    write("ImageSets/Main/val.txt", "a\n")
    write("ImageSets/Main/trainval.txt", "a\nb\nd\n")
    write("ImageSets/Main/cat_train.txt", "c 1\n")
    read = READER.read(tmp_path, "boxes")
    assert [(example.input.stem, example.split) for example in read.examples] == [
        ("b", "train"), ("a", "validation"), ("d", "train"),
    ]  # fmt: skip
    assert [example.label for example in read.examples] == [CAT, CAT, None]
    assert read.notes == ("1 label file is left out, since no list in 'ImageSets/Main' has them.",)


def test_a_name_in_two_lists_is_refused(tmp_path, images, write) -> None:
    write("Annotations/a.xml", xml(CAT))
    write("ImageSets/Main/train.txt", "b\na\n")
    file = write("ImageSets/Main/val.txt", "a\n")
    with pytest.raises(DataError) as error:
        READER.read(tmp_path, "boxes")
    assert error.value.message == f"Line 1 of '{file}' is 'a'; it is in 'train' already, and one split is accepted."


def test_an_image_without_a_file_is_unlabelled_and_one_without_objects_empty(tmp_path, images, write) -> None:
    images("a.png", "b.png")
    write("a.xml", xml(Boxes((), (8, 6))))
    assert [example.label for example in READER.read(tmp_path, "boxes").examples] == [Boxes((), (8, 6)), None]


def test_a_folder_per_split_is_read(tmp_path, images, write) -> None:
    images("train/a.png", "valid/b.png")
    write("train/a.xml", xml(CAT))
    write("valid/b.xml", xml(CAT))
    assert READER.fits(tmp_path)
    assert [(example.input.name, example.split) for example in READER.read(tmp_path, "boxes").examples] == [
        ("a.png", "train"), ("b.png", "validation"),
    ]  # fmt: skip


def test_an_image_of_another_name_is_found_by_the_name_in_the_file(tmp_path, images, write) -> None:
    images("JPEGImages/photo.png")
    write("Annotations/a.xml", xml(CAT, "photo.png"))
    (example,) = READER.read(tmp_path, "boxes").examples
    assert (example.input, example.label) == (tmp_path / "JPEGImages/photo.png", CAT)
    write("Annotations/b.xml", xml(CAT, "photo.png"))
    with pytest.raises(DataError, match="b.xml' is 'photo.png'; another label file has that image already"):
        READER.read(tmp_path, "boxes")


def test_a_missing_image_is_listed_where_it_should_lie(tmp_path, images, write) -> None:
    images("JPEGImages/b.png")
    write("Annotations/a.xml", xml(CAT))
    write("ImageSets/Main/train.txt", "a\n")
    (example,) = READER.read(tmp_path, "boxes").examples
    assert (example.input, example.label) == (tmp_path / "JPEGImages/a.jpg", CAT)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (xml(CAT).replace("<xmin>1</xmin><ymin>2", "<xmin>left</xmin><ymin>2"), "xmin in line 3 of '{}' is 'left'; a number is accepted."),
        (xml(CAT).replace("<xmin>1</xmin><ymin>2", "<xmin>inf</xmin><ymin>2"), "xmin in line 3 of '{}' is 'inf'; a number is accepted."),
        (xml(CAT).replace("<ymax>6</ymax></bndbox></object><", "</bndbox></object><"), "ymax in line 3 of '{}' is missing; a number is accepted."),
        (xml(CAT).replace("<name>cat</name>", ""), "The name of the object in line 2 of '{}' is missing; the name of its class is accepted."),
        ("<annotation><object><name>cat</name></object></annotation>", "The bndbox of the object in line 1 of '{}' is missing; xmin, ymin, xmax and ymax are accepted."),
        ("<annotation>\n<object></annotation>", "Line 2 of '{}' is not XML: mismatched tag."),
        ("<a>" * 200, "Line 1 of '{}' is nested too deep; 100 levels are accepted."),
    ],
)  # fmt: skip
def test_a_malformed_file_is_named_with_its_line(tmp_path, images, write, text, said) -> None:
    images("a.png")
    file = write("a.xml", text if text.startswith("<annotation") else f"<annotation>{text}")
    with pytest.raises(DataError) as error:
        READER.read(tmp_path, "boxes")
    assert error.value.message == said.format(file)


def test_a_document_type_is_refused_before_anything_is_expanded(tmp_path, images, write) -> None:
    images("a.png")
    bomb = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n'
    file = write("a.xml", bomb + xml(CAT).replace("cat", "&b;"))
    assert READER.fits(tmp_path)
    with pytest.raises(DataError, match=f"Line 1 of '{file}' is a DOCTYPE, which could name other files"):
        READER.read(tmp_path, "boxes")


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "b/../../a.png", "C:\\a.png", "..\\a.png"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, write, name) -> None:
    (tmp_path / "JPEGImages").mkdir()
    file = write("Annotations/a.xml", xml(CAT, name))
    with pytest.raises(DataError) as error:
        READER.read(tmp_path, "boxes")
    assert error.value.message == (
        f"filename of '{file}' names the image '{name}'; the name of a file in the folder, or in one inside it, is accepted."
    )


def test_two_images_of_one_name_are_refused(tmp_path, images, write) -> None:
    images("a.png", "a.jpg")
    write("a.xml", xml(CAT))
    with pytest.raises(
        DataError, match="have one name, so that labels named 'a' are those of either; one image of a name"
    ):
        READER.read(tmp_path, "boxes")


def test_masks_have_the_classes_of_the_challenge_and_its_border_is_ignored(tmp_path, images, write) -> None:
    images("JPEGImages/a.jpg", "SegmentationClass/a.png")
    write("Annotations/a.xml", xml(CAT))
    write("ImageSets/Segmentation/train.txt", "a\n")
    (example,) = READER.read(tmp_path, "mask").examples
    assert isinstance(example.label, Mask)
    assert example.label.path == tmp_path / "SegmentationClass/a.png"
    assert example.label.names == {str(level): name for level, name in enumerate(CLASSES)}
    assert {"255", "#e0e0c0"} == example.label.ignored
    assert example.split == "train"


def test_masks_of_other_classes_need_a_colour_table(tmp_path, images, write) -> None:
    images("JPEGImages/a.jpg", "SegmentationClass/a.png")
    write("Annotations/a.xml", xml(Boxes((Box("nucleus", 0, 0, 1, 1),))))
    with pytest.raises(DataError, match="things called 'nucleus', which is no class of the Pascal VOC challenge"):
        READER.read(tmp_path, "mask")
    write("labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\nnucleus:128,0,64::\n")
    (example,) = READER.read(tmp_path, "mask").examples
    assert example.label.names == {"#000000": "background", "#800040": "nucleus"}


def test_masks_are_not_made_of_boxes(tmp_path, images, write) -> None:
    images("a.png")
    write("a.xml", xml(CAT))
    with pytest.raises(DataError, match="has boxes and no folder 'SegmentationClass'") as error:
        READER.read(tmp_path, "mask")
    assert error.value.hint == "Train on the boxes instead: --task detect"


def test_other_folders_are_not_taken_for_it(tmp_path, images, write) -> None:
    images("cat/a.png")
    write("Annotations/a.xml", "<annotations></annotations>")
    write("b.xml", "no xml")
    assert not READER.fits(tmp_path)
    assert not READER.fits(tmp_path / "missing")
    assert not READER.fits(tmp_path / "b.xml")
