"""COCO files."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from graftwork import Box, Boxes, DataError, Mask, Region
from graftwork_image.annotations import coco as module
from graftwork_image.annotations.coco import CocoReader
from graftwork_image.runs import compressed, decompressed, inside_of, runs_of

READER = CocoReader()
CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 7, "name": " dog"}]
SQUARE = [1, 1, 4, 1, 4, 3, 1, 3]


def coco(*annotations: dict, names=("a.png",), size=(8, 6), **fields) -> str:
    listed = [
        {"id": number, "file_name": name, "width": size[0], "height": size[1]} for number, name in enumerate(names)
    ]
    made = [{"image_id": 0, "category_id": 3, "bbox": [1, 2, 3, 4], **annotation} for annotation in annotations]
    return json.dumps({"images": listed, "annotations": made, "categories": CATEGORIES} | fields)


def only(place: Path, kind: str) -> object:
    (example,) = READER.read(place, kind).examples
    return example.label


@settings(deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_runs_are_the_pixels_and_their_text_is_the_runs(inside) -> None:
    runs = runs_of(inside)
    assert (inside_of(runs, (inside.shape[1], inside.shape[0])) == inside).all()
    assert decompressed(compressed(runs)) == runs


@settings(deadline=None)
@given(st.lists(st.integers(0, 1 << 40)).map(tuple))
def test_runs_of_any_length_are_written_and_read(runs) -> None:
    assert decompressed(compressed(runs)) == runs


def test_runs_go_column_by_column_and_begin_outside() -> None:
    assert runs_of(np.array([[1, 0], [1, 1]])) == (0, 2, 1, 1)
    assert runs_of(np.array([[0, 0, 1]])) == (2, 1)


def test_compressed_runs_are_those_of_the_coco_api() -> None:
    # The texts that pycocotools 2.0.11 writes for these runs.
    assert compressed((2020, *(10, 90) * 9, 10, 7070)) == "To1:j200000000000000000Tj6"
    assert compressed((10, 3, 7, 6, 3, 6, 19, 1, 8)) == ":373L0`0KE"


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from(["cat", "dog"]), st.lists(st.integers(0, 99), min_size=4, max_size=4), st.booleans())),
    st.booleans(),
)  # fmt: skip
def test_boxes_are_read_as_they_were_written(things, beside) -> None:
    ids = {"cat": 3, "dog": 7}
    text = coco(*({"category_id": ids[name], "bbox": box, "iscrowd": int(crowd)} for name, box, crowd in things))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        image = folder / ("a.png" if beside else "images/a.png")
        Image.new("L", (8, 6)).save(image)
        (folder / "labels.json").write_text(text)
        assert READER.fits(folder)
        (example,) = READER.read(folder, "boxes").examples
    boxes = tuple(Box(name, x, y, x + w, y + h, ignored=crowd) for name, (x, y, w, h), crowd in things)
    assert (example.input, example.label) == (image, Boxes(boxes, (8, 6)))


def test_outlines_are_polygons_and_runs_in_the_order_of_the_file(tmp_path, images, write) -> None:
    images("a.png")
    runs = (0, 3, 45)
    file = write("a.json", coco(
        {"segmentation": [SQUARE, [0.5, 0, 2, 0, 2, 2]]},
        {"category_id": 7, "segmentation": {"size": [6, 8], "counts": compressed(runs)}, "iscrowd": 1},
        {"segmentation": {"size": [6, 8], "counts": list(runs)}},
    ))  # fmt: skip
    assert only(file, "mask") == Mask(
        regions=(
            Region("cat", polygons=(tuple(map(float, SQUARE)),)), Region("cat", polygons=((0.5, 0, 2, 0, 2, 2),)),
            Region("dog", runs=runs), Region("cat", runs=runs),
        ),
        size=(8, 6),
    )  # fmt: skip


def test_an_image_without_annotations_is_empty(tmp_path, images, write) -> None:
    images("a.png", "b.png")
    file = write("a.json", coco({"image_id": 1}, names=("a.png", "b.png")))
    assert [len(example.label.boxes) for example in READER.read(file, "boxes").examples] == [0, 1]
    file = write("a.json", coco())
    assert only(file, "mask") == Mask(size=(8, 6))


@pytest.mark.parametrize(
    ("label_file", "image"),
    [
        ("instances_train2017.json", "train2017/a.png"),
        ("annotations/instances_train2017.json", "train2017/a.png"),
        ("annotations/instances_train2017.json", "images/train2017/a.png"),
        ("annotations/train.json", "train/a.png"),
        ("annotations/train.json", "images/a.png"),
        ("train/_annotations.coco.json", "train/a.png"),
    ],
)  # fmt: skip
def test_images_are_found_where_tools_put_them(tmp_path, images, write, label_file, image) -> None:
    images(image)
    write(label_file, coco({}))
    assert READER.fits(tmp_path)
    (example,) = READER.read(tmp_path, "boxes").examples
    assert (example.input, example.split) == (tmp_path / image, "train")


def test_a_file_per_split_is_read(tmp_path, images, write) -> None:
    for split in ("train", "valid", "test"):
        images(f"{split}/a.png")
        write(f"{split}/_annotations.coco.json", coco({}))
    examples = READER.read(tmp_path, "boxes").examples
    assert [(example.split, example.input.parent.name) for example in examples] == [
        ("test", "test"), ("train", "train"), ("validation", "valid"),
    ]  # fmt: skip


def test_a_file_that_is_named_alone_has_no_split(tmp_path, images, write) -> None:
    images("a.png")
    (example,) = READER.read(write("train.json", coco({})), "boxes").examples
    assert example.split == ""


def test_other_files_beside_those_of_instances_are_noted(tmp_path, write) -> None:
    for name in ("instances_train2017", "instances_val2017", "person_keypoints_train2017"):
        write(f"annotations/{name}.json", coco({}))
    write("annotations/captions_train2017.json", json.dumps({"images": [], "annotations": []}))
    read = READER.read(tmp_path, "boxes")
    assert sorted(example.split for example in read.examples) == ["train", "validation"]
    assert read.notes == ("Only files named instances are read; left out: person_keypoints_train2017.json.",)


def test_two_files_whose_split_is_not_known_are_refused(tmp_path, write) -> None:
    first, second = write("a.json", coco({})), write("b.json", coco({}))
    with pytest.raises(DataError) as error:
        READER.read(tmp_path, "boxes")
    assert error.value.message == (
        f"'{first}' and '{second}' are two COCO files, and their names do not tell which split each is; one file, or one per split, is accepted."
    )
    assert error.value.hint == f"Name one of them: '{second}'. Or put train, val or test into their names."


def test_a_missing_image_is_listed_where_it_should_lie(tmp_path, write, images) -> None:
    (example,) = READER.read(write("a.json", coco({})), "boxes").examples
    assert example.input == tmp_path / "a.png"
    images("images/b.png")
    (example,) = READER.read(tmp_path / "a.json", "boxes").examples
    assert example.input == tmp_path / "images/a.png"


@pytest.mark.parametrize(
    ("annotation", "kind", "said"),
    [
        ({"bbox": [1, 2, 3]}, "boxes", "annotations[0].bbox of '{}' is [1, 2, 3]; four numbers are accepted: left, top, width and height in pixels."),
        ({"bbox": [1, 2, 3, float("nan")]}, "boxes", "annotations[0].bbox of '{}' is nan; four numbers are accepted: left, top, width and height in pixels."),
        ({"bbox": None}, "boxes", "annotations[0].bbox of '{}' is missing; four numbers are accepted: left, top, width and height in pixels."),
        ({"image_id": 9}, "boxes", "annotations[0].image_id of '{}' is 9; the id of one of its images is accepted."),
        ({"category_id": 1}, "boxes", "annotations[0].category_id of '{}' is 1; the id of one of its categories is accepted."),
        ({"category_id": None}, "boxes", "annotations[0].category_id of '{}' is missing; a whole number is accepted."),
        ({}, "mask", "annotations[0] of '{}' has a box and no outline; for masks an outline of each thing is accepted."),
        ({"segmentation": [[1, 2, 3, 4]]}, "mask", "annotations[0].segmentation[0] of '{}' is [1, 2, 3, 4]; x and y of at least three corners are accepted."),
        ({"segmentation": [["a"] * 6]}, "mask", "annotations[0].segmentation[0] of '{}' is 'a'; x and y of at least three corners are accepted."),
        ({"segmentation": "a"}, "mask", "annotations[0].segmentation of '{}' is 'a'; polygons, or runs with their size, are accepted."),
        ({"segmentation": {"counts": [48]}}, "mask", "annotations[0].segmentation.size of '{}' is missing; height and width in pixels are accepted."),
        ({"segmentation": {"size": [8, 6], "counts": [48]}}, "mask", "annotations[0].segmentation.size of '{}' is [8, 6]; the height and width of the image, 6 and 8, are accepted."),
        ({"segmentation": {"size": [6, 8], "counts": [40]}}, "mask", "annotations[0].segmentation.counts of '{}' is [40]; whole numbers whose sum is that of the pixels, 48, are accepted."),
        ({"segmentation": {"size": [6, 8], "counts": "~"}}, "mask", "annotations[0].segmentation.counts of '{}' cannot be read as runs: '~' is no sign of compressed runs."),
        ({"segmentation": {"size": [6, 8], "counts": "P"}}, "mask", "annotations[0].segmentation.counts of '{}' cannot be read as runs: the text of the runs is cut short."),
        ({"segmentation": {"size": [6, 8], "counts": "O"}}, "mask", "annotations[0].segmentation.counts of '{}' cannot be read as runs: a run of -1 pixels."),
    ],
)  # fmt: skip
def test_a_malformed_annotation_is_named_with_its_field(write, annotation, kind, said) -> None:
    file = write("a.json", coco(annotation))
    with pytest.raises(DataError) as error:
        READER.read(file, kind)
    assert error.value.message == said.format(file)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"images": [{"id": 0, "file_name": "a.png"}] * 2}, "images[1].id of '{}' is 0; an earlier image has it, and one image of an id is accepted."),
        ({"images": [{"id": 0}]}, "images[0].file_name of '{}' is missing; a text is accepted."),
        ({"images": [5]}, "images[0] of '{}' is 5; an object is accepted."),
        ({"images": [{"id": 0, "file_name": "a.png", "width": 0, "height": 6}]}, "images[0].width of '{}' is 0; at least one pixel is accepted."),
        ({"images": [{"id": 0, "file_name": "../a.png"}]}, "images[0].file_name of '{}' names the image '../a.png'; the name of a file in the folder, or in one inside it, is accepted."),
        ({"categories": [{"id": 3}]}, "categories[0].name of '{}' is missing; a text is accepted."),
        ({"categories": [{"id": 3, "name": "cat"}, {"id": 3, "name": "dog"}]}, "categories[1].id of '{}' is 3; it is the id of 'cat' already."),
    ],
)  # fmt: skip
def test_a_malformed_field_is_named(write, fields, said) -> None:
    file = write("a.json", coco({}, **fields))
    with pytest.raises(DataError) as error:
        READER.read(file, "boxes")
    assert error.value.message == said.format(file)


def test_large_files_are_recognised_without_being_parsed(write, monkeypatch) -> None:
    file = write("a.json", coco({}))
    monkeypatch.setattr(module, "SMALL", 10)
    monkeypatch.setattr(module, "parse_json", None)
    assert READER.fits(file)


@pytest.mark.parametrize(
    "text", ["[]", "{}", "no", '{"images": [], "annotations": [', '{"images": 1, "annotations": [], "categories": []}']
)
def test_other_files_are_not_taken_for_it(write, tmp_path, text) -> None:
    assert not READER.fits(write("a.json", text))
    assert not READER.fits(tmp_path)
    assert not READER.fits(tmp_path / "missing.json")


def test_what_is_no_json_is_named_with_its_line(write) -> None:
    file = write("a.json", '{"images": [],\n "annotations": [], "categories": [}')
    with pytest.raises(DataError, match=f"Line 2 of '{file}' is not JSON: "):
        module.load(file)
