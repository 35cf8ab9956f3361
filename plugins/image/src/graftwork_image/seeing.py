"""Pictures with what lies in them, as pages show them and as folders of answers hold them."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from graftwork import AnswerFolder, Box, Boxes, Raw, Value
from graftwork_image.coco_writing import Labelled, to_coco
from graftwork_image.convert import TURNS, to_rgb
from graftwork_image.painting import mask_image, paint_boxes, paint_mask
from graftwork_image.reader import ImageReader

DRAWN = 0.3
"""The least probability of a box that is drawn; those below it would cover the picture."""
SHOWN = 480
"""Pixels of the longer side of a picture on a page, at most."""


def opened(raw: Raw) -> tuple[Image.Image, Mapping[str, Value]]:
    """The picture upright, as RGB, and the facts of its header. Raises `Unreadable`."""
    facts, image = ImageReader().read(raw)
    rgb, turn = to_rgb(image, image.mode, "RGB"), facts["orientation"]
    return rgb.transpose(TURNS[turn]) if turn in TURNS else rgb, facts  # pyright: ignore[reportArgumentType]


def side_by_side(pictures: Sequence[tuple[str, Image.Image]]) -> str:
    """Pictures as HTML, each with its words below it."""
    figures = (
        f'<figure><img alt="" src="{_source(picture)}"><figcaption>{html.escape(words)}</figcaption></figure>'
        for words, picture in pictures
    )
    return f'<div class="pair">{"".join(figures)}</div>'


def _source(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.thumbnail((SHOWN, SHOWN))
    picture.save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


class BoxFolder(AnswerFolder):
    """annotations.json: the boxes as COCO has them, with their probabilities as "score"; drawn/: the pictures with the
    probable ones. names: of all classes."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        super().__init__(folder)
        self._names_of_classes = names
        self._found: list[Labelled] = []
        (folder / "drawn").mkdir()

    def add(self, raw: Raw, answer: dict[str, Any]) -> None:
        image, _ = opened(raw)
        name, boxes, chances = self.name_for(raw), boxes_of(answer), [box["probability"] for box in answer["boxes"]]
        file = Path(raw.name).name if raw.path is not None else f"{name}.png"
        self._found.append(Labelled(file, image.size, boxes, chances))
        with_boxes(image, answer, self._names_of_classes).save(self.folder / "drawn" / f"{name}.jpg", quality=90)

    def close(self) -> None:
        found = to_coco(self._found, self._names_of_classes)
        (self.folder / "annotations.json").write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")


class MaskFolder(AnswerFolder):
    """masks/: a palette PNG for each picture, whose indices are numbers of classes; classes.txt: their names; drawn/:
    the pictures with them."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        super().__init__(folder)
        self._classes = names
        for part in ("masks", "drawn"):
            (folder / part).mkdir()
        (folder / "masks" / "classes.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")

    def add(self, raw: Raw, answer: dict[str, Any]) -> None:
        image, name = opened(raw)[0], self.name_for(raw)
        mask: np.ndarray = answer["mask"]
        mask_image(mask, self._classes).save(self.folder / "masks" / f"{name}.png")
        paint_mask(image, mask, self._classes).save(self.folder / "drawn" / f"{name}.jpg", quality=90)


def with_boxes(image: Image.Image, answer: Mapping[str, Any], names: Sequence[str]) -> Image.Image:
    """A picture with the probable boxes of an answer of `detect`. names: of all classes."""
    probable = [box for box in answer["boxes"] if box["probability"] >= DRAWN]
    return paint_boxes(image, boxes_of({"boxes": probable}), names, [box["probability"] for box in probable])


def boxes_of(answer: Mapping[str, Any]) -> Boxes:
    """The boxes of an answer of `detect`."""
    sides = ("xmin", "ymin", "xmax", "ymax")
    return Boxes(tuple(Box(box["label"], *(box[side] for side in sides)) for box in answer["boxes"]))
