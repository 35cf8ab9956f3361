"""CVAT for images 1.1: all shapes of all images in one XML file (docs.cvat.ai, "CVAT for image")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graftwork import Annotated, AnnotatedExamples, AnnotationReader, Box, Boxes, DataError, Mask, Region, split_of
from graftwork_image.annotations.faults import CORRECT, fault, needs_outline, number
from graftwork_image.annotations.places import left_out, listed, named, once
from graftwork_image.annotations.xml_tree import Element, parse, root_of
from graftwork_image.polygons import around, ellipse
from graftwork_image.runs import runs_of

if TYPE_CHECKING:
    from graftwork_image.geometry import Size

READ = ("box", "polygon", "ellipse", "mask")
NOT_READ = ("polyline", "points", "cuboid", "skeleton", "tag")
"""What is neither a box nor an outline."""

MOST_PIXELS = 1 << 28
"""Pixels of an image beyond which a mask in a file is refused instead of unpacked."""


class CvatReader(AnnotationReader):
    """annotations.xml, or a folder that holds it, with the images beside it, in images/, or in a folder of their subset
    in either. Subsets that are named as splits are splits.

    Outlines are also the boxes around them. An image without shapes is a declared empty one. Shapes that are neither
    boxes nor outlines, and tags of whole images, are left out with a note.
    """

    def fits(self, place: Path) -> bool:
        return _file(place) is not None

    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        file = _file(place)
        if file is None:
            raise DataError(f"'{place}' holds no file of CVAT for images; one is accepted.")
        left: Counter[str] = Counter()
        root = parse(file)
        examples = tuple(_example(image, file, kind, left) for image in root.all("image"))
        once(examples, file)
        notes = left_out(examples)
        if left:
            notes.append(f"Shapes left out: {', '.join(f'{count} {tag}' for tag, count in left.items())}.")
        if tracks := sum(1 for _ in root.all("track")):
            notes.append(f"Tracks of a video left out: {tracks}; export them as CVAT for images.")
        return AnnotatedExamples(examples, tuple(notes))


def _file(place: Path) -> Path | None:
    files = [place] if place.is_file() else [path for path in listed(place) if path.suffix.lower() == ".xml"][:1]
    return next((path for path in files if path.suffix.lower() == ".xml" and root_of(path) == "annotations"), None)


def _example(image: Element, file: Path, kind: str, left: Counter[str]) -> Annotated:
    name, subset = image.attributes.get("name", ""), image.attributes.get("subset", "")
    where = f"The name of the image in line {image.line}"
    tops = (file.parent, file.parent / "images")
    path = named(
        name, [*tops, *(top / subset for top in tops if subset and named(subset, tops, file, where))], file, where
    )
    size = int(image.attribute("width", file)), int(image.attribute("height", file))
    boxes: list[Box] = []
    regions: list[tuple[float, Region]] = []
    for shape in image.children:
        if shape.tag in READ:
            label = shape.attributes.get("label", "").strip()
            if not label:
                raise fault(file, f"label in line {shape.line}", None, "the name of its class is accepted")
            if kind == "boxes":
                boxes.append(Box(label, *_sides(shape, file)))
            else:
                order = number(shape.attributes.get("z_order", "0"), file, f"z_order in line {shape.line}")
                regions.append((order, _region(shape, label, size, file)))
        elif shape.tag in NOT_READ:
            left[shape.tag] += 1
    drawn = tuple(region for _, region in sorted(regions, key=lambda item: item[0]))
    label = Boxes(tuple(boxes), size) if kind == "boxes" else Mask(regions=drawn, size=size)
    return Annotated(path, label, split_of(subset))


def _sides(shape: Element, file: Path) -> tuple[float, float, float, float]:
    if shape.tag == "box":
        if number(shape.attributes.get("rotation", "0"), file, f"rotation in line {shape.line}"):
            raise DataError(
                f"Line {shape.line} of '{file}' has a box that is rotated; boxes along the edges of the image are "
                "accepted.",
                "Draw it as a polygon, or without rotation.",
            )
        left, top, right, bottom = (shape.attribute(side, file) for side in ("xtl", "ytl", "xbr", "ybr"))
        return left, top, right, bottom
    if shape.tag == "mask":
        left, top, width, height = (shape.attribute(side, file) for side in ("left", "top", "width", "height"))
        return left, top, left + width, top + height
    return around(_corners(shape, file))


def _region(shape: Element, label: str, size: Size, file: Path) -> Region:
    if shape.tag == "box":
        raise needs_outline(file, f"Line {shape.line}")
    if shape.tag == "mask":
        return Region(label, runs=_runs(shape, size, file))
    return Region(label, polygons=(_corners(shape, file),))


def _corners(shape: Element, file: Path) -> tuple[float, ...]:
    if shape.tag == "ellipse":
        turned = number(shape.attributes.get("rotation", "0"), file, f"rotation in line {shape.line}")
        x, y, across, down = (shape.attribute(field, file) for field in ("cx", "cy", "rx", "ry"))
        return ellipse(x, y, across, down, turned)
    where, accepted = f"points in line {shape.line}", "x,y;x,y;... of at least three corners is accepted"
    text = shape.attributes.get("points")
    pairs = [pair.split(",") for pair in (text or "").split(";")]
    if len(pairs) < 3 or any(len(pair) != 2 for pair in pairs):
        raise fault(file, where, text, accepted)
    return tuple(number(value, file, where, accepted) for pair in pairs for value in pair)


def _runs(shape: Element, size: Size, file: Path) -> tuple[int, ...]:
    """COCO's runs of the whole image, from CVAT's of a part of it, which go row by row."""
    where = f"rle in line {shape.line}"
    left, top, width, height = (int(shape.attribute(side, file)) for side in ("left", "top", "width", "height"))
    lengths = list(_lengths(shape, file, where))
    accepted = f"lengths whose sum is that of its pixels, {width * height}, are accepted"
    if min(lengths) < 0 or sum(lengths) != width * height:
        raise fault(file, where, shape.attributes.get("rle"), accepted)
    if size[0] * size[1] > MOST_PIXELS:
        said = f"a mask of at most {MOST_PIXELS} pixels is accepted"
        raise fault(file, f"The size of the image of line {shape.line}", list(size), said)
    if left < 0 or top < 0 or left + width > size[0] or top + height > size[1]:
        raise DataError(
            f"Line {shape.line} of '{file}' has a mask that reaches over the edges of its image of "
            f"{size[0]} x {size[1]} pixels; one inside is accepted.",
            CORRECT,
        )
    part = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(height, width)
    whole = np.zeros((size[1], size[0]), bool)
    whole[top : top + height, left : left + width] = part
    return runs_of(whole)


def _lengths(shape: Element, file: Path, where: str) -> Iterator[int]:
    for text in shape.attributes.get("rle", "").split(","):
        yield int(number(text, file, where, "whole numbers with commas between them are accepted"))
