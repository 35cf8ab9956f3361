"""JSON exports of Label Studio, of images."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork import Box, Boxes, DataError, Mask, Region
from graftwork_image.annotations import label_studio as module
from graftwork_image.annotations.label_studio import LabelStudioImagesReader
from graftwork_image.masks import inside

READER = LabelStudioImagesReader()
BRUSH = [0, 0, 0, 24, 57, 27, 252, 96, 22, 255, 231, 0, 0]
"""What label-studio-sdk writes for an image of 2 x 3 pixels of which (1, 0), (0, 1) and (1, 1) are painted."""


def result(shape: str, label: str = "cat", size=(8, 6), **value) -> dict:
    return {
        "type": shape, "original_width": size[0], "original_height": size[1], "image_rotation": 0,
        "value": {shape: [label], "rotation": 0, **value},
    }  # fmt: skip


def box(x: float = 12.5, y: float = 0, width: float = 50, height: float = 50, **value) -> dict:
    return result("rectanglelabels", x=x, y=y, width=width, height=height, **value)


def outline(*points: tuple[float, float], **value) -> dict:
    return result("polygonlabels", points=[list(point) for point in points], **value)


def task(*results: dict, image: str = "/data/upload/1/0a1b2c3d-a.png", **fields) -> dict:
    return {"id": 1, "data": {"image": image}, "annotations": [{"result": list(results)}]} | fields


def export(*tasks: dict) -> str:
    return json.dumps(list(tasks))


CAT = Boxes((Box("cat", 1, 0, 5, 3),), (8, 6))
percent = st.integers(0, 400).map(lambda value: value / 4)


def only(place: Path, kind: str = "boxes") -> object:
    (example,) = READER.read(place, kind).examples
    return example.label


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(percent, percent, percent, percent), min_size=1))
def test_boxes_are_read_as_they_were_written(things) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "export.json")
        file.write_text(export(task(*(box(*thing) for thing in things))))
        assert READER.fits(file)
        assert READER.fits(file.parent)
        label = only(file)
    assert label == Boxes(
        tuple(Box("cat", x * 8 / 100, y * 6 / 100, (x + w) * 8 / 100, (y + h) * 6 / 100) for x, y, w, h in things),
        (8, 6),
    )


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(percent, percent), min_size=3, max_size=6))
def test_outlines_are_read_as_they_were_written(points) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "export.json")
        file.write_text(export(task(outline(*points))))
        label = only(file, "mask")
    corners = tuple(value for x, y in points for value in (x * 8 / 100, y * 6 / 100))
    assert label == Mask(regions=(Region("cat", polygons=(corners,)),), size=(8, 6))


def test_brushes_are_unpacked(write) -> None:
    file = write("a.json", export(task(result("brushlabels", size=(2, 3), rle=BRUSH, format="rle"))))
    label = only(file, "mask")
    assert inside(label.regions[0], (2, 3)).tolist() == [[False, True], [True, True], [False, False]]
    assert only(file) == Boxes((Box("cat", 0, 0, 2, 2),), (2, 3))


def test_ellipses_are_outlines(write) -> None:
    file = write("a.json", export(task(result("ellipselabels", x=50, y=50, radiusX=25, radiusY=50))))
    (found,) = only(file).boxes
    assert (found.xmin, found.ymin, found.xmax, found.ymax) == pytest.approx((2, 0, 6, 6))


def test_what_nobody_annotated_is_unlabelled_and_what_holds_nothing_empty(write) -> None:
    cancelled = {"was_cancelled": True, "result": [box()]}
    file = write("a.json", export(
        task(image="a.png"), task(image="b.png", annotations=[]), task(image="c.png", annotations=[cancelled]),
        task(image="d.png", annotations=[cancelled, {"result": [box()]}]),
        {"data": {"image": "e.png"}, "completions": [{"result": [box()]}]},
    ))  # fmt: skip
    assert [example.label for example in READER.read(file, "boxes").examples] == [Boxes(), None, None, CAT, CAT]


def test_what_is_left_out_is_noted(write) -> None:
    twice = {"annotations": [{"result": [box()]}, {"result": []}]}
    file = write("a.json", export(task(image="b.png", **twice), task(result("keypointlabels"), {"type": "choices"})))
    assert READER.read(file, "boxes").notes == (
        "Results left out: 1 keypointlabels, 1 choices.",
        "Images with several annotations, of which the first is read: 1.",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("/data/upload/1/0a1b2c3d-a.png", "a.png"), ("/data/upload/1/0a1b2c3d-a.png", "images/0a1b2c3d-a.png"),
        ("/data/local-files/?d=photos/b%20c.png", "photos/b c.png"), ("s3://bucket/photos/a.png", "images/a.png"),
        ("https://host/x/a%20b.png?token=1", "a b.png"), ("upload/a.png", "upload/a.png"),
    ],
)  # fmt: skip
def test_images_are_found_by_their_address(tmp_path, images, write, address, place) -> None:
    images(place)
    write("export.json", export(task(box(), image=address)))
    (example,) = READER.read(tmp_path, "boxes").examples
    assert example.input == tmp_path / place


def test_a_missing_image_is_listed_where_it_should_lie(tmp_path, write) -> None:
    (example,) = READER.read(write("a.json", export(task())), "boxes").examples
    assert example.input == tmp_path / "0a1b2c3d-a.png"


@pytest.mark.parametrize(
    ("found", "kind", "said"),
    [
        (box(x=None), "boxes", "[0].annotations[0].result[0].value.x of '{}' is missing; a percentage is accepted."),
        (box(width="wide"), "boxes", "[0].annotations[0].result[0].value.width of '{}' is 'wide'; a percentage is accepted."),
        (box(rotation=30), "boxes", "[0].annotations[0].result[0].value of '{}' is a box that is rotated by 30 degrees; boxes along the edges of the image are accepted."),
        (box(rectanglelabels=["a", "b"]), "boxes", "[0].annotations[0].result[0].value.rectanglelabels of '{}' is ['a', 'b']; one name is accepted."),
        (box() | {"value": 5}, "boxes", "[0].annotations[0].result[0].value.rectanglelabels of '{}' is missing; one name is accepted."),
        (box() | {"image_rotation": 90}, "boxes", "[0].annotations[0].result[0].image_rotation of '{}' is 90; an image that is not rotated is accepted."),
        (box() | {"original_width": None, "original_height": None}, "boxes", "[0].annotations[0].result[0].original_width of '{}' is missing; the size of the image, one for all, is accepted."),
        (box(), "mask", "[0].annotations[0].result[0] of '{}' has a box and no outline; for masks an outline of each thing is accepted."),
        (outline((1, 2), (3, 4)), "mask", "[0].annotations[0].result[0].value.points of '{}' is [[1, 2], [3, 4]]; x and y of at least three corners are accepted."),
        (outline((1, 2), (3, 4), (5,)), "mask", "[0].annotations[0].result[0].value.points of '{}' is [5]; x and y of at least three corners are accepted."),
        (result("brushlabels", rle=BRUSH), "mask", "[0].annotations[0].result[0].value.rle of '{}' cannot be read as a brush: it has 24 values instead of 192."),
        (result("brushlabels", size=(2, 3), rle=BRUSH[:9]), "mask", "[0].annotations[0].result[0].value.rle of '{}' cannot be read as a brush: it is cut short."),
        (result("brushlabels", size=(2, 3)), "mask", "[0].annotations[0].result[0].value.rle of '{}' cannot be read as a brush: it is cut short."),
    ],
)  # fmt: skip
def test_a_malformed_result_is_named_with_its_field(write, found, kind, said) -> None:
    file = write("a.json", export(task(found)))
    with pytest.raises(DataError) as error:
        READER.read(file, kind)
    assert error.value.message == said.format(file)


def test_an_image_out_of_the_folder_is_refused(write) -> None:
    file = write("a.json", export(task(image="/data/local-files/?d=../../a.png")))
    with pytest.raises(DataError, match=r"\[0\].data of '.*' names the image '../../a.png'; the name of a file"):
        READER.read(file, "boxes")


def test_a_task_without_an_image_is_refused(write) -> None:
    file = write("a.json", export(task(), {"data": {"text": "hello"}, "annotations": []}))
    with pytest.raises(
        DataError, match=r"\[1\].data of '.*' is {'text': 'hello'}; the address of an image is accepted"
    ):
        READER.read(file, "boxes")


def test_a_large_first_task_is_parsed_to_its_end(write, monkeypatch) -> None:
    monkeypatch.setattr(module, "HEAD", 20)
    assert READER.fits(write("a.json", export(task(box()))))


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        "[1]",
        "[",
        "no",
        export({"data": {"text": "a"}, "annotations": []}),
        export({"data": {"audio": "a.wav"}, "annotations": []}),
    ],
)
def test_other_files_are_not_taken_for_it(tmp_path, write, text) -> None:
    assert not READER.fits(write("a.json", text))
    assert not READER.fits(tmp_path)


def test_brushes_of_any_shape_are_those_of_their_pixels() -> None:
    with pytest.raises(ValueError, match="it is longer than it says"):
        module.painted([0, 0, 0, 4, 57, 27, 252, 255, 255, 255], (1, 1))
    with pytest.raises(ValueError, match="it has values of 32 bits instead of 8"):
        module.painted([0, 0, 0, 4, 255, 27, 252, 255, 255, 255], (1, 1))
    assert np.array_equal(module.painted(BRUSH, (2, 3)), [[False, True], [True, True], [False, False]])
