"""Drawn shapes to try `detect` and `segment` on: labels that lie where the shapes do."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from graftwork_image import shapes
from graftwork_image.shapes import COLOURS, LABELS, PICTURES


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    """The folder, and what its COCO file says."""
    folder = shapes.boxes(tmp_path_factory.mktemp("boxes"))
    return folder, json.loads((folder / "annotations.json").read_text())


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    return shapes.masks(tmp_path_factory.mktemp("masks"))


def test_every_picture_is_there_with_its_size(coco) -> None:
    folder, said = coco
    assert len(said["images"]) == PICTURES == len(list((folder / "images").iterdir()))
    sizes = set()
    for image in said["images"]:
        with Image.open(folder / "images" / image["file_name"]) as picture:
            assert picture.mode == "RGB"
            assert picture.size == (image["width"], image["height"])
            sizes.add(picture.size)
    assert len(sizes) > 50


def test_boxes_lie_in_their_pictures_and_each_label_is_frequent(coco) -> None:
    _, said = coco
    images = {image["id"]: image for image in said["images"]}
    names = {category["id"]: category["name"] for category in said["categories"]}
    for box in said["annotations"]:
        left, top, width, height = box["bbox"]
        image = images[box["image_id"]]
        assert left >= 0
        assert top >= 0
        assert min(width, height) >= 8
        assert left + width <= image["width"]
        assert top + height <= image["height"]
    counts = Counter(names[box["category_id"]] for box in said["annotations"])
    assert set(counts) == set(LABELS)
    assert min(counts.values()) >= 40


def test_some_pictures_are_empty(coco) -> None:
    _, said = coco
    assert len(said["images"]) - len({box["image_id"] for box in said["annotations"]}) == PICTURES // 6


def test_boxes_are_those_of_the_painted_classes(coco, painted) -> None:
    _, said = coco
    for image in said["images"]:
        mask = np.asarray(Image.open(painted / "masks" / image["file_name"]))
        left_over = mask.copy()
        for box in (box for box in said["annotations"] if box["image_id"] == image["id"]):
            x, y, width, height = box["bbox"]
            # Another shape may reach into the corners of a box, of which it is none.
            inside = mask[y : y + height, x : x + width] == box["category_id"]
            assert inside.any(0)[[0, -1]].all()
            assert inside.any(1)[[0, -1]].all()
            assert inside.sum() >= box["area"]
            left_over[y : y + height, x : x + width][inside] = 0
        assert not left_over.any()


def test_the_pictures_of_boxes_and_of_masks_are_the_same_ones(coco, painted, tmp_path) -> None:
    folder, _ = coco
    again = shapes.masks(tmp_path)
    for path in (folder / "images").iterdir():
        assert path.read_bytes() == (painted / "images" / path.name).read_bytes()
        assert (again / "masks" / path.name).read_bytes() == (painted / "masks" / path.name).read_bytes()


def test_masks_are_palette_images_whose_indices_are_named(painted) -> None:
    assert (painted / "classes.txt").read_text().split() == ["background", *LABELS]
    found = set()
    for path in (painted / "masks").iterdir():
        with Image.open(path) as mask:
            assert mask.mode == "P"
            assert mask.getpalette()[: 3 * len(COLOURS)] == [value for colour in COLOURS for value in colour]
            found |= set(np.asarray(mask).ravel().tolist())
    assert found == set(range(len(LABELS) + 1))


def test_neither_colour_nor_size_tells_the_label() -> None:
    """The area and the mean colour of a shape, by its nearest neighbours among the other pictures."""
    rows, labels, owner = [], [], []
    for number, (picture, drawn) in enumerate(shapes.pictures()):
        for shape in drawn:
            pixels = np.asarray(picture)[shapes.painted(picture.size, shape)]
            rows.append([*pixels.mean(0) / 255, len(pixels) / 1000])
            labels.append(shape.label)
            owner.append(number)
    features, names, owners = np.array(rows), np.array(labels), np.array(owner)
    right = 0
    for row, name, number in zip(features, names, owners, strict=True):
        distances = np.where(owners == number, np.inf, np.linalg.norm(features - row, axis=1))
        nearest = Counter(names[distances.argsort()[:5]].tolist()).most_common(1)[0][0]
        right += nearest == name
    assert right / len(names) < 0.55
