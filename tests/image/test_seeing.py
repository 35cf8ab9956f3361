"""Folders of answers of images: what is written for each, and what of it is drawn."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from graftwork import Raw
from graftwork_image.seeing import BoxFolder


def test_only_probable_boxes_are_drawn_and_all_are_in_the_file(tmp_path: Path) -> None:
    Image.new("RGB", (120, 80), "white").save(tmp_path / "one.png")
    near = {"label": "cell", "probability": 0.9, "xmin": 10, "ymin": 30, "xmax": 40, "ymax": 60}
    far = {"label": "cell", "probability": 0.1, "xmin": 80, "ymin": 30, "xmax": 110, "ymax": 60}
    made = BoxFolder(new(tmp_path / "found"), ["cell"])
    made.add(Raw("one.png", tmp_path / "one.png"), {"boxes": [near, far]})
    made.close()
    dark = np.asarray(Image.open(tmp_path / "found" / "drawn" / "one.jpg").convert("L")) < 220
    assert dark[62:66, 10:40].any() or dark[28:62, 8:42].any()
    assert not dark[:, 75:].any()
    assert len(json.loads((tmp_path / "found" / "annotations.json").read_text())["annotations"]) == 2


def test_a_picture_in_memory_has_one_name(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGB", (32, 32)).save(content, "PNG")
    made = BoxFolder(new(tmp_path / "found"), ["cell"])
    for _ in range(2):
        made.add(Raw("in memory", value=content.getvalue()), {"boxes": []})
    made.close()
    names = [
        image["file_name"] for image in json.loads((tmp_path / "found" / "annotations.json").read_text())["images"]
    ]
    assert names == ["input.png", "input-2.png"]
    assert sorted(path.name for path in (tmp_path / "found" / "drawn").iterdir()) == ["input-2.jpg", "input.jpg"]


def new(folder: Path) -> Path:
    folder.mkdir()
    return folder
