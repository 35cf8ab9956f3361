"""Label Studio's JSON export of images: tasks with the results of their annotators (labelstud.io/guide/export)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from graftwork import Annotated, AnnotatedExamples, AnnotationReader, Box, Boxes, DataError, Mask, Region, parse_json
from graftwork_image.annotations.brush import painted
from graftwork_image.annotations.faults import CORRECT, fault, needs_outline, number
from graftwork_image.annotations.json_file import load, numbers_in, objects, size_in
from graftwork_image.annotations.places import is_image, left_out, listed, named, once
from graftwork_image.polygons import around, ellipse
from graftwork_image.runs import runs_of

if TYPE_CHECKING:
    from graftwork_image.geometry import Size

HEAD = 1 << 16
"""Bytes in which the first task of a file is looked for."""

SHAPES = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels")

UPLOADED = re.compile("[0-9a-f]{8}-")
"""What Label Studio puts before the name of an uploaded file."""


class LabelStudioImagesReader(AnnotationReader):
    """A JSON export, or a folder that holds one, with the images beside it or in images/ or upload/, named as they were
    uploaded (with or without what Label Studio puts before the name).

    Of several annotations of one image the first that was not cancelled is read. An image without annotations is
    unlabelled; one whose annotation holds nothing is empty. Outlines (polygons, ellipses, brushes) are also the boxes
    around them. Other results (key points, choices, rectangles and polygons without labels) are left out with a note.
    """

    def fits(self, place: Path) -> bool:
        return _file(place) is not None

    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        file = _file(place)
        if file is None:
            raise DataError(f"'{place}' holds no JSON export of Label Studio; one is accepted.")
        tasks = objects({"tasks": load(file)}, "tasks", file)
        folders = [
            folder for folder in (file.parent, file.parent / "images", file.parent / "upload") if folder.is_dir()
        ]
        left: Counter[str] = Counter()
        examples = tuple(
            Annotated(_image(task, folders, file, f"[{place}]"), _label(task, file, f"[{place}]", kind, left))
            for place, task in enumerate(tasks)
        )
        several = left.pop("", 0)
        once(examples, file)
        notes = left_out(examples)
        if left:
            notes.append(f"Results left out: {', '.join(f'{count} {shape}' for shape, count in left.items())}.")
        if several:
            notes.append(f"Images with several annotations, of which the first is read: {several}.")
        return AnnotatedExamples(examples, tuple(notes))


def _file(place: Path) -> Path | None:
    files = [place] if place.is_file() else listed(place)
    return next((path for path in files if path.suffix.lower() == ".json" and _is_export(path)), None)


def _is_export(file: Path) -> bool:
    """Whether a file is a list whose first object is a task with an image."""
    try:
        with file.open(encoding="utf-8-sig") as opened:
            head = opened.read(HEAD).lstrip()
        if not head.startswith("["):
            return False
        task = _first(head) if len(head) < HEAD else _first(head) or _first_of_all(file)
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(task, dict) and _results(task) is not None and bool(_address(task))


def _first(head: str) -> Any:
    try:
        return json.JSONDecoder().raw_decode(head[1:].lstrip())[0]
    except ValueError:
        return None


def _first_of_all(file: Path) -> Any:
    return next(iter(parse_json(file.read_text(encoding="utf-8-sig"))), None)


def _results(task: dict[str, Any]) -> list[Any] | None:
    """The annotations of a task; None where it is none."""
    found = task.get("annotations", task.get("completions"))
    return found if isinstance(found, list) and isinstance(task.get("data"), dict) else None


def _address(task: dict[str, Any]) -> str:
    """Where the image of a task lay: the first value of its data that names one."""
    for value in task["data"].values():
        if isinstance(value, str) and is_image(_path_in(value)):
            return value
    return ""


def _path_in(address: str) -> str:
    """The path in an address: of a local file behind `?d=`, of others without scheme and query."""
    parts = urlsplit(address)
    local = parse_qs(parts.query).get("d")
    return local[0] if local else unquote(parts.path)


def _image(task: dict[str, Any], folders: Sequence[Path], file: Path, at: str) -> Path:
    if _results(task) is None or not (address := _address(task)):
        raise fault(file, f"{at}.data", task.get("data"), "the address of an image is accepted")
    path = _path_in(address).lstrip("/")
    name = path.rsplit("/", 1)[-1]
    tails = [path, *(path.split("/", place)[-1] for place in range(1, path.count("/")))]
    for tried in (*tails, name, UPLOADED.sub("", name, count=1)):
        if (found := named(tried, folders, file, f"{at}.data")).exists():
            return found
    return named(name, folders, file, f"{at}.data")


def _label(task: dict[str, Any], file: Path, at: str, kind: str, left: Counter[str]) -> Boxes | Mask | None:
    field = "annotations" if "annotations" in task else "completions"
    made = [
        (place, found)
        for place, found in enumerate(objects(task, field, file, f"{at}."))
        if not (found.get("was_cancelled") or found.get("skipped"))
    ]
    if not made:
        return None
    left[""] += len(made) > 1
    at, annotation = f"{at}.{field}[{made[0][0]}]", made[0][1]
    things: list[Box | Region] = []
    size: Size | None = None
    for place, result in enumerate(objects(annotation, "result", file, f"{at}.")):
        where, shape = f"{at}.result[{place}]", result.get("type")
        if shape not in SHAPES:
            left[str(shape)] += 1
            continue
        drawn = size_in(result, ("original_width", "original_height"), file, where)
        if drawn is None or (size is not None and drawn != size):
            raise fault(file, f"{where}.original_width", drawn, "the size of the image, one for all, is accepted")
        size = drawn
        if turned := result.get("image_rotation"):
            raise fault(file, f"{where}.image_rotation", turned, "an image that is not rotated is accepted")
        things.append(_thing(result, size, file, where, kind))
    boxes = tuple(thing for thing in things if isinstance(thing, Box))
    regions = tuple(thing for thing in things if isinstance(thing, Region))
    return Boxes(boxes, size) if kind == "boxes" else Mask(regions=regions, size=size)


def _thing(result: dict[str, Any], size: Size, file: Path, where: str, kind: str) -> Box | Region:
    shape, value = result["type"], result.get("value")
    value = value if isinstance(value, dict) else {}
    names = value.get(shape)
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
        raise fault(file, f"{where}.value.{shape}", names, "one name is accepted")
    name, at = names[0].strip(), f"{where}.value"
    if shape == "brushlabels":
        pixels = _brush(value, size, file, f"{at}.rle")
        return Box(name, *_around(pixels)) if kind == "boxes" else Region(name, runs=runs_of(pixels))
    if kind == "boxes":
        return Box(name, *around(_corners(value, shape, size, file, at)))
    if shape == "rectanglelabels":
        raise needs_outline(file, where)
    return Region(name, polygons=(_corners(value, shape, size, file, at),))


def _brush(value: dict[str, Any], size: Size, file: Path, where: str) -> np.ndarray:
    try:
        pixels = painted(value.get("rle") or (), size)
        if not pixels.any():
            raise ValueError("nothing is painted")
        return pixels
    except (TypeError, ValueError) as error:
        raise DataError(f"{where} of '{file}' cannot be read as a brush: {error}.", CORRECT) from error


def _around(pixels: np.ndarray) -> tuple[float, float, float, float]:
    columns, rows = (np.flatnonzero(pixels.any(axis=axis)) for axis in (0, 1))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _corners(value: dict[str, Any], shape: str, size: Size, file: Path, where: str) -> tuple[float, ...]:
    """The corners of a shape in pixels, from hundredths of the image's width and height; of a box the first and the
    third.
    """

    def percent(field: str) -> float:
        return number(value.get(field), file, f"{where}.{field}", "a percentage is accepted")

    def pixels(corners: Iterable[float]) -> tuple[float, ...]:
        return tuple(corner * size[place % 2] / 100 for place, corner in enumerate(corners))

    turned = number(value.get("rotation") or 0, file, f"{where}.rotation", "a number of degrees is accepted")
    if shape == "polygonlabels":
        accepted = "x and y of at least three corners are accepted"
        points = value.get("points")
        if not isinstance(points, list) or len(points) < 3:
            raise fault(file, f"{where}.points", points, accepted)
        return pixels(part for point in points for part in numbers_in(point, file, f"{where}.points", accepted, 2))
    left, top = percent("x"), percent("y")
    if shape == "ellipselabels":
        x, y, across, down = pixels((left, top, percent("radiusX"), percent("radiusY")))
        return ellipse(x, y, across, down, turned)
    if turned:
        raise DataError(
            f"{where} of '{file}' is a box that is rotated by {turned:g} degrees; boxes along the edges of the image "
            "are accepted.",
            "Draw it as a polygon, or without rotation.",
        )
    return pixels((left, top, left + percent("width"), top + percent("height")))
