"""Damaged label files: each is read, or refused with a sentence that names it; nothing else happens."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from graftwork import DataError
from graftwork.plugins import registry
from graftwork.specs.factories import load_factory
from graftwork_image.annotations.json_file import load

FILES = {
    "coco": ("a.json", json.dumps({
        "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 6}],
        "annotations": [
            {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0, "segmentation": [[1, 1, 2, 1, 2, 2]]},
            {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "segmentation": {"size": [6, 8], "counts": "X17"}},
        ],
        "categories": [{"id": 1, "name": "cat"}],
    })),
    "voc": ("a.xml", "<annotation><filename>a.png</filename><size><width>8</width><height>6</height></size><object><name>cat"
        "</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>"),
    "yolo": ("a.txt", "0 0.5 0.5 0.1 0.1\n0 0.1 0.1 0.2 0.1 0.2 0.2\n"),
    "cvat": ("a.xml", '<annotations><image name="a.png" width="8" height="6"><polygon label="cat" points="1,2;3,4;5,6"/>'
        '<mask label="cat" rle="1,2,3" left="1" top="1" width="2" height="3"/><ellipse label="a" cx="1" cy="1" rx="2" ry="2"/></image></annotations>'),
    "label-studio-images": ("a.json", json.dumps([{"data": {"image": "a.png"}, "annotations": [{"result": [
        {"type": "polygonlabels", "original_width": 8, "original_height": 6, "value": {"points": [[1, 2], [3, 4], [5, 6]], "polygonlabels": ["cat"]}},
        {"type": "brushlabels", "original_width": 2, "original_height": 3, "value": {"brushlabels": ["cat"], "rle": [0, 0, 0, 24, 57, 27, 252, 96, 22, 255, 231, 0, 0]}},
    ]}]}])),
    "mask-images": ("classes.txt", "background:0,0,0::\ncat:255,0,0::\n"),
}  # fmt: skip

PIECES = st.sampled_from(
    ["", "0", "-1", "9" * 5000, "1e999", "NaN", '"', "'", "<", ">", "{", "}", "[", "]", ",", ":", "null", "true", "\0", "\n", " ", "é", "../", "&#1;"]
)  # fmt: skip
CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), PIECES), min_size=1, max_size=3)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(FILES)), CHANGES, st.sampled_from(["boxes", "mask"]))
def test_a_damaged_label_file_is_read_or_refused_by_its_name(name, changes, kind) -> None:
    (spec,) = (spec for spec in registry.annotation_formats() if spec.name == name)
    file, text = FILES[name]
    for share, length, piece in changes:
        at = int(share * len(text))
        text = text[:at] + piece + text[at + length :]
    reader = load_factory(spec.factory)()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for image in ("a.png", "images/a.png", "masks/a.png") if name == "mask-images" else ("a.png",):
            (place / image).parent.mkdir(exist_ok=True)
            Image.new("L", (8, 6)).save(place / image)
        if name == "yolo":
            (place / "classes.txt").write_text("cat")
        (place / file).write_text(text, encoding="utf-8")
        reader.fits(place)
        reader.fits(place / file)
        said = ""
        try:
            reader.read(place, "mask" if name == "mask-images" else kind)
        except DataError as error:
            said = error.message
        assert not said or folder in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[" * 100_000,
            "its lists and objects are nested deeper than 100 levels (GRAFTWORK_LIMITS=json_levels=200 allows more)",
        ),
        ("9" * 5000, "a number in it has too many digits"),
    ],
)
def test_json_that_would_end_the_process_is_refused(tmp_path, text, said) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError) as error:
        load(tmp_path / "a.json")
    assert error.value.message == f"'{tmp_path / 'a.json'}' is not JSON that can be read: {said}."
