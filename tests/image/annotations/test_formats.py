"""All formats of label files together: no folder is of two."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import graftwork as gw
from graftwork.plugins import registry
from graftwork.specs.factories import load_factory

COCO = json.dumps({"images": [], "annotations": [], "categories": []})
LABEL_STUDIO = json.dumps([{"data": {"image": "a.png"}, "annotations": []}])
LINE = "0 .5 .5 .1 .1"

FOLDERS = {
    "coco": [
        {"a.json": COCO, "a.png": ""}, {"annotations/instances_train.json": COCO, "images/a.png": ""},
        {"train/_annotations.coco.json": COCO, "train/a.png": ""},
    ],
    "voc": [
        {"Annotations/a.xml": "<annotation/>", "JPEGImages/a.png": "", "ImageSets/Main/train.txt": "a"},
        {"Annotations/a.xml": "<annotation/>", "JPEGImages/a.png": "", "SegmentationClass/a.png": ""},
        {"a.xml": "<annotation/>", "a.png": ""}, {"valid/a.xml": "<annotation/>", "valid/a.png": ""},
    ],
    "yolo": [
        {"images/a.png": "", "labels/a.txt": LINE}, {"a.png": "", "a.txt": LINE, "classes.txt": "cat"},
        {"train/images/a.png": "", "train/labels/a.txt": LINE}, {"images/train/a.png": "", "labels/train/a.txt": LINE},
    ],
    "cvat": [{"annotations.xml": "<annotations/>", "images/a.png": ""}],
    "label-studio-images": [{"project-1.json": LABEL_STUDIO, "images/a.png": ""}],
    "mask-images": [
        {"images/a.png": "", "masks/a.png": ""}, {"images/a.png": "", "labels/a.png": "", "classes.txt": "cat"},
        {"train/images/a.png": "", "train/masks/a.png": ""}, {"images/a.png": "", "annotations/a.png": ""},
    ],
    "": [
        {"cat/a.png": "", "dog/b.png": ""}, {"train/cat/a.png": "", "val/cat/b.png": ""}, {"a.png": "", "labels.csv": "a"},
        {"a.png": "", "a.txt": "A caption."}, {"images/a.png": "", "other/a.png": ""},
    ],
}  # fmt: skip

OURS = {spec.name: spec for spec in registry.annotation_formats() if spec.modality == "image"}


def reader(spec: gw.AnnotationSpec) -> gw.AnnotationReader:
    return load_factory(spec.factory)()


def test_every_format_is_registered_and_tried() -> None:
    assert set(OURS) == set(FOLDERS) - {""}
    for spec in OURS.values():
        assert issubclass(load_factory(spec.factory), gw.AnnotationReader)
        assert set(spec.kinds) <= {"boxes", "mask"}


@pytest.mark.parametrize(("name", "files"), [(name, files) for name, cases in FOLDERS.items() for files in cases])
def test_a_folder_is_of_one_format(tmp_path: Path, write, images, name, files) -> None:
    for file, text in files.items():
        images(file) if file.endswith(".png") else write(file, text)
    assert {other for other, spec in OURS.items() if reader(spec).fits(tmp_path)} == ({name} - {""})


@pytest.mark.parametrize("spec", OURS.values(), ids=OURS)
def test_what_cannot_be_looked_into_is_of_no_format(tmp_path: Path, write, spec) -> None:
    for place in (tmp_path, tmp_path / "missing", write("a.png", ""), write("a.json", "\0"), write("a.xml", "\0")):
        assert not reader(spec).fits(place)
