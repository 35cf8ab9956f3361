"""Folders of masks, and tables of what their colours stand for."""

from __future__ import annotations

import pytest

from graftwork import DataError, Mask
from graftwork_image.annotations.colours import read_table
from graftwork_image.annotations.mask_images import SUFFIXES, MaskImagesReader

READER = MaskImagesReader()


@pytest.mark.parametrize("masks", ["masks", "Labels", "annotations", "segmentation"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_mask_is_found_by_the_name_of_its_image(tmp_path, images, masks, suffix) -> None:
    images("images/a.jpg", "images/b.jpg", f"{masks}/a{suffix}.png")
    assert READER.fits(tmp_path)
    assert [(example.input.name, example.label) for example in READER.read(tmp_path, "mask").examples] == [
        ("a.jpg", Mask(path=tmp_path / masks / f"a{suffix}.png")), ("b.jpg", None),
    ]  # fmt: skip


@pytest.mark.parametrize("order", ["{split}/{kind}/a.png", "{kind}/{split}/a.png"])
def test_splits_may_be_above_or_below(tmp_path, images, order) -> None:
    for split in ("train", "val"):
        images(order.format(split=split, kind="images"), order.format(split=split, kind="masks"))
    examples = READER.read(tmp_path, "mask").examples
    assert [example.split for example in examples] == ["train", "validation"]
    assert all(example.label.path.parts[-3:] != example.input.parts[-3:] for example in examples)


def test_a_table_names_the_levels(tmp_path, images, write) -> None:
    images("images/a.png", "masks/a.png")
    write("classes.txt", "background\ncell\n")
    (example,) = READER.read(tmp_path, "mask").examples
    assert example.label.names == {"0": "background", "1": "cell"}


def test_a_mask_of_no_image_is_refused(tmp_path, images) -> None:
    images("images/a.png", "masks/a.png", "masks/b.png")
    with pytest.raises(DataError, match=r"b.png' is the mask of no image in '.*images' \(1 of 2 are not\)"):
        READER.read(tmp_path, "mask")


def test_one_mask_of_two_images_and_two_masks_of_one_image_are_refused(tmp_path, images) -> None:
    images("images/a.png", "images/a.jpg", "masks/a.png")
    with pytest.raises(DataError, match="are both named as the mask"):
        READER.read(tmp_path, "mask")
    images("masks/a.bmp")
    with pytest.raises(DataError, match="are masks of one name; one mask of an image is accepted"):
        READER.read(tmp_path, "mask")


def test_a_jpeg_is_no_mask(tmp_path, images) -> None:
    images("images/a.png", "masks/a.jpg")
    with pytest.raises(
        DataError, match="is a JPEG, which blurs the levels that stand for classes; PNG, TIFF and BMP are"
    ):
        READER.read(tmp_path, "mask")


def test_texts_and_folders_of_classes_are_not_taken_for_masks(tmp_path, images, write) -> None:
    images("images/a.png", "other/a.png")
    write("labels/a.txt", "0 .5 .5 .1 .1")
    assert not READER.fits(tmp_path)
    assert not READER.fits(tmp_path / "images/a.png")


@pytest.mark.parametrize(
    ("name", "text", "table"),
    [
        ("labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\nleft lung:250,50,83::\n", {"#000000": "background", "#fa3253": "left lung"}),
        ("labelmap.txt", "background:::\ncell:::\n", {"0": "background", "1": "cell"}),
        ("label_colors.txt", "64 128 64\tAnimal\n192 0 128 Archway way\n", {"#408040": "Animal", "#c00080": "Archway way"}),
        ("label_colors.txt", "Animal 64 128 64\n", {"#408040": "Animal"}),
        ("classes.csv", "name,r,g,b\nsky,0,0,255\n'a b',1,2,3\n", {"#0000ff": "sky", "#010203": "'a b'"}),
        ("_classes.csv", "Pixel Value, Class\n0, background\n7, cell\n", {"0": "background", "7": "cell"}),
        ("classes.txt", "background\nred cell\n", {"0": "background", "1": "red cell"}),
        ("classes.txt", "0\ncell, red\n", {"0": "0", "1": "cell, red"}),
        ("classes.txt", "0: background\n255: cell\n", {"0": "background", "255": "cell"}),
    ],
)  # fmt: skip
def test_tables_are_read_as_tools_write_them(write, name, text, table) -> None:
    assert read_table(write(name, text)) == table


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:0,0,0::\nb:0,0,0::\n", "Line 2 of '{}' is 'b:0,0,0::'; #000000 is 'a' already."),
        ("a 1 2 3\nb 1 2 300\n", "Line 2 of '{}' is 'b 1 2 300'; a name with red, green and blue, or a level, is accepted."),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_named_with_its_line(write, text, said) -> None:
    file = write("labelmap.txt", text)
    with pytest.raises(DataError) as error:
        read_table(file)
    assert error.value.message == said.format(file)


def test_a_table_that_is_no_text_is_refused(tmp_path) -> None:
    (tmp_path / "classes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as a label file: it is not UTF-8"):
        read_table(tmp_path / "classes.txt")
