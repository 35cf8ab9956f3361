"""COCO files of boxes and masks: as labels that other tools read, or as results that COCO's evaluation reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graftwork import Boxes, Mask, Region
from graftwork_image.geometry import Size
from graftwork_image.masks import BACKGROUND, class_map, inside
from graftwork_image.polygons import around
from graftwork_image.runs import compressed, runs_of


@dataclass(frozen=True)
class Labelled:
    """An image with what lies in it. name: its file name. size: width and height.

    label: boxes, a mask, or the numbers of classes `(H, W)`. probabilities: 0..1 of each box; none for true ones.
    """

    name: str
    size: Size
    label: Boxes | Mask | np.ndarray
    probabilities: Sequence[float] = ()


def to_coco(images: Iterable[Labelled], names: Sequence[str]) -> dict[str, Any]:
    """A COCO file as objects for `json.dump`. names: all classes; their ids begin with 1.

    A box is an annotation, and so is each region of a mask; of a mask image each class but "background" is one, as
    compressed runs. Ignored boxes are crowds; ignored pixels are in no annotation. A box with a probability has it as
    "score", so that `annotations` are also results as COCO's evaluation takes them.
    """
    ids = {name: place for place, name in enumerate(names, 1)}
    listed, annotations = [], []
    for number, image in enumerate(images, 1):
        width, height = image.size
        listed.append({"id": number, "file_name": image.name, "width": width, "height": height})
        for thing in _things(image, names):
            made = {"id": len(annotations) + 1, "image_id": number, "category_id": ids[thing.pop("label")]}
            annotations.append(made | thing)
    used = {thing["category_id"] for thing in annotations}
    categories = [{"id": place, "name": name} for name, place in ids.items() if name != BACKGROUND or place in used]
    return {"images": listed, "annotations": annotations, "categories": categories}


def _things(image: Labelled, names: Sequence[str]) -> Iterable[dict[str, Any]]:
    label = image.label
    if isinstance(label, Boxes):
        for place, box in enumerate(label.boxes):
            sides = box.xmin, box.ymin, box.xmax, box.ymax
            score = {"score": float(image.probabilities[place])} if image.probabilities else {}
            yield {"label": box.label, **_box(sides), "iscrowd": int(box.ignored), **score}
    elif isinstance(label, Mask) and label.regions:
        yield from (_region(region, image.size) for region in label.regions if region.label not in label.ignored)
    else:
        classes = class_map(label, names, image.size) if isinstance(label, Mask) else label
        for number, name in enumerate(names):
            if name != BACKGROUND and (pixels := classes == number).any():
                yield _runs(name, pixels)


def _box(sides: tuple[float, float, float, float]) -> dict[str, Any]:
    left, top, right, bottom = sides
    width, height = right - left, bottom - top
    return {"bbox": [left, top, width, height], "area": width * height}


def _region(region: Region, size: Size) -> dict[str, Any]:
    pixels = inside(region, size)
    if len(region.polygons) != 1:  # parts of one thing are joined in COCO, and holes lost
        return _runs(region.label, pixels)
    (corners,) = region.polygons
    return {
        "label": region.label, **_box(around(corners)), "area": int(pixels.sum()), "iscrowd": 0,
        "segmentation": [list(corners)],
    }  # fmt: skip


def _runs(name: str, pixels: np.ndarray) -> dict[str, Any]:
    columns, rows = (np.flatnonzero(pixels.any(axis=axis)).tolist() or [0, -1] for axis in (0, 1))
    outline = {"size": list(pixels.shape), "counts": compressed(runs_of(pixels))}
    sides = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    return {"label": name, **_box(sides), "area": int(pixels.sum()), "iscrowd": 0, "segmentation": outline}
