"""Drawn shapes with boxes and masks, to try `detect` and `segment` on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

PICTURES = 90
SEED = 7
LABELS = ("circle", "square", "triangle")
CORNERS = {"circle": 32, "square": 4, "triangle": 3}
COLOURS = ((0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115))
"""Of the background and of the labels in masks (Okabe and Ito 2008, told apart by the colour-blind)."""


@dataclass(frozen=True)
class Shape:
    """A shape in a picture. polygon: x1, y1, x2, y2, ... in pixels; radius: of the circle around it, about centre."""

    label: str
    centre: tuple[float, float]
    radius: float
    polygon: tuple[float, ...]


def boxes(folder: Path) -> Path:
    """Write 90 pictures to `folder/images` and their boxes and outlines to `folder/annotations.json`, as COCO has them.

    The pictures are of several sizes; every sixth is empty. Colours and sizes say nothing of the label, and lines that
    have none cross the ground. The same ones whenever it is called. Returns the folder.
    """
    images, annotations = [], []
    for number, (picture, shapes) in enumerate(pictures(), 1):
        name = _save(picture, folder, number)
        images.append({"id": number, "file_name": name, "width": picture.width, "height": picture.height})
        for shape in shapes:
            rows, columns = painted(picture.size, shape).nonzero()
            left, top = int(columns.min()), int(rows.min())
            annotations.append({
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": LABELS.index(shape.label) + 1,
                "bbox": [left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top],
                "area": len(rows),
                "segmentation": [[round(value, 2) for value in shape.polygon]],
                "iscrowd": 0,
            })  # fmt: skip
    categories = [{"id": number, "name": label} for number, label in enumerate(LABELS, 1)]
    whole = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(whole), encoding="utf-8")
    return folder


def masks(folder: Path) -> Path:
    """Write the pictures of `boxes` to `folder/images`, palette masks of the same names to `folder/masks`, and the
    names of the palette's indices to `folder/classes.txt`, one a line. Returns the folder."""
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    for number, (picture, shapes) in enumerate(pictures(), 1):
        name = _save(picture, folder, number)
        classes = np.zeros((picture.height, picture.width), dtype=np.uint8)
        for shape in shapes:
            classes[painted(picture.size, shape)] = LABELS.index(shape.label) + 1
        mask = Image.fromarray(classes).convert("P")
        mask.putpalette([value for colour in COLOURS for value in colour])
        mask.save(folder / "masks" / name)
    (folder / "classes.txt").write_text("\n".join(("background", *LABELS)) + "\n", encoding="utf-8")
    return folder


def pictures() -> Iterator[tuple[Image.Image, list[Shape]]]:
    """Each picture (RGB, sides of 96 to 160 pixels) with its shapes, none upon another."""
    for number in range(PICTURES):
        rng = np.random.default_rng((SEED, number))
        width, height = (int(side) for side in rng.integers(96, 161, 2))
        shapes: list[Shape] = []
        for _ in range(0 if number % 6 == 5 else int(rng.integers(1, 6))):
            shape = _shape(rng, width, height)
            if all(math.dist(shape.centre, other.centre) > shape.radius + other.radius + 2 for other in shapes):
                shapes.append(shape)
        yield _drawn(rng, (width, height), shapes), shapes


def painted(size: tuple[int, int], shape: Shape) -> npt.NDArray[np.bool_]:
    """The pixels `(H, W)` of a shape in a picture of this width and height."""
    mask = Image.new("1", size)
    ImageDraw.Draw(mask).polygon(shape.polygon, fill=1)
    return np.asarray(mask, dtype=bool)


def _shape(rng: np.random.Generator, width: int, height: int) -> Shape:
    label = str(rng.choice(LABELS))
    radius = float(rng.uniform(8, 24))
    centre = float(rng.uniform(radius, width - radius - 1)), float(rng.uniform(radius, height - radius - 1))
    corners = CORNERS[label]
    angles = rng.uniform(0, 2 * math.pi) + np.arange(corners) * (2 * math.pi / corners)
    points = np.stack((centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles)), axis=1)
    return Shape(label, centre, radius, tuple(points.ravel().tolist()))


def _drawn(rng: np.random.Generator, size: tuple[int, int], shapes: list[Shape]) -> Image.Image:
    """Shapes of any colour that differs from the ground, on a ground of two colours, lines and noise."""
    width, height = size
    ground = rng.uniform(0, 255, (2, 3))
    slope = np.linspace(0, 1, width)[None, :, None] * rng.uniform(0, 1)
    slope = slope + np.linspace(0, 1, height)[:, None, None] * rng.uniform(0, 1)
    near = ground[0] + 0.3 * (ground[1] - ground[0]) * slope  # (H, W, 3)
    picture = Image.fromarray(near.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(0, 4))):
        ends = rng.uniform(0, 1, (2, 2)) * size
        draw.line(ends.ravel().tolist(), fill=_colour(rng, ground[0]), width=int(rng.integers(1, 4)))
    for shape in shapes:
        draw.polygon(shape.polygon, fill=_colour(rng, ground[0]))
    noise = rng.normal(0, rng.uniform(2, 14), (height, width, 3))
    return Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))


def _colour(rng: np.random.Generator, ground: npt.NDArray[np.float64]) -> tuple[int, ...]:
    """A colour at least 100 from the ground's."""
    while True:
        colour = rng.integers(0, 256, 3)
        if np.linalg.norm(colour - ground) >= 100:
            return tuple(colour.tolist())


def _save(picture: Image.Image, folder: Path, number: int) -> str:
    """Write a picture to `folder/images`; returns the name of its file."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    name = f"{number:03}.png"
    picture.save(folder / "images" / name)
    return name
