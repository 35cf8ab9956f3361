"""YOLO: a text per image with a line per thing, numbered classes, and coordinates relative to the image's size.

The format of darknet and of Ultralytics (docs.ultralytics.com/datasets/detect and /segment).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from graftwork import SPLITS, Annotated, AnnotatedExamples, AnnotationReader, Box, Boxes, DataError, Mask, Region
from graftwork_image.annotations.faults import fault, needs_outline, number, text_of
from graftwork_image.annotations.places import by_stem, images_in, is_image, listed, split_folders, walked
from graftwork_image.polygons import around

if TYPE_CHECKING:
    from graftwork_image.geometry import Size

NAMED_BY = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml", "classes.txt", "obj.names", "classes.names")
"""Files that name the classes, in the order in which they are looked for."""

DIGITS = re.compile("[0-9]{1,9}")
"""The number of a class."""

ACCEPTED = "class, x, y, width and height, or class with x and y of at least three corners, are accepted"

LOOKED_INTO = 100
"""How many texts are looked into for a first line, at most."""


class YoloReader(AnnotationReader):
    """labels/ beside images/, in the place or in each split, or with the splits in each of the two; or a text beside
    each image.

    Classes are named by data.yaml or classes.txt, in the place or beside the labels; paths in data.yaml are not
    followed. An empty text is a declared empty image; an image without a text is unlabelled. Coordinates are taken as
    those of the image turned upright by its EXIF tag, as Ultralytics reads them. An outline is also the box around it.
    """

    def fits(self, place: Path) -> bool:
        return place.is_dir() and any(_is_yolo(place, folder) for folder in _folders(place))

    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        folders = list(_folders(place))
        names = _names([place, *(found for folder in folders for found in (folder.labels, folder.labels.parent))])
        return AnnotatedExamples(tuple(example for folder in folders for example in _examples(folder, names, kind)))


@dataclass(frozen=True)
class _Folder:
    """Images and their labels; one folder if they lie side by side."""

    split: str
    images: Path
    labels: Path

    def pictures(self) -> list[Path]:
        beside = self.images == self.labels
        return [path for path in listed(self.images) if is_image(path)] if beside else images_in(self.images)

    def texts(self) -> Iterable[Path]:
        """The texts of labels; beside images those that have the name of one."""
        if self.images != self.labels:
            return walked(self.labels, (".txt",))
        stems = {path.stem for path in self.pictures()}
        return (path for path in listed(self.labels) if path.suffix.lower() == ".txt" and path.stem in stems)


def _folders(place: Path) -> Iterator[_Folder]:
    """In the place itself, or in each split."""
    found = {path.name.lower(): path for path in listed(place) if path.is_dir()}
    if "images" in found and "labels" in found:
        yield _Folder("", found["images"], found["labels"])
    elif splits := split_folders(place):
        for split, folder in splits:
            yield from (_Folder(split, inner.images, inner.labels) for inner in _folders(folder))
    else:
        yield _Folder("", place, place)


def _is_yolo(place: Path, folder: _Folder) -> bool:
    """Whether the first text that is not empty begins with a line of the format; where all are empty, whether classes
    are named.
    """
    empty = False
    for path in islice((path for path in folder.texts() if path.name not in NAMED_BY), LOOKED_INTO):
        try:
            with path.open(encoding="utf-8-sig") as opened:
                line = opened.readline(10_000)
        except (OSError, UnicodeDecodeError):
            return False
        if line.strip():
            return _is_line(line)
        empty = True
    return empty and any((where / name).is_file() for where in (place, folder.labels.parent) for name in NAMED_BY)


def _is_line(line: str) -> bool:
    """Whether a line is a whole number, and numbers in 0..1 or little outside."""
    parts = line.split()
    try:
        return len(parts) >= 5 and int(parts[0]) >= 0 and all(-1 <= float(part) <= 2 for part in parts[1:])
    except ValueError:
        return False


def _examples(folder: _Folder, names: dict[int, str], kind: str) -> Iterator[Annotated]:
    images = by_stem(folder.pictures(), folder.images)
    texts = {
        path.relative_to(folder.labels).with_suffix("").as_posix(): path
        for path in folder.texts()
        if path.name not in NAMED_BY
    }
    if left := sorted(texts.keys() - images.keys()):
        raise DataError(
            f"'{texts[left[0]]}' is the text of no image in '{folder.images}' ({len(left)} of {len(texts)} are not); "
            "an image of the same name is accepted.",
            "Put the images back, or remove their texts.",
        )
    for stem, image in images.items():
        label = _label(texts[stem], image, names, kind) if stem in texts else None
        top = stem.split("/")[0].lower() if "/" in stem else ""
        yield Annotated(image, label, folder.split or SPLITS.get(top, ""))


def _label(file: Path, image: Path, names: dict[int, str], kind: str) -> Boxes | Mask:
    lines = [(line, text.split()) for line, text in enumerate(text_of(file).splitlines(), 1) if text.strip()]
    size = _upright_size(image)
    boxes, regions = [], []
    for line, parts in lines:
        where = f"Line {line}"
        name = names.get(int(parts[0])) if DIGITS.fullmatch(parts[0]) else None
        if name is None:
            said = f"a class of 0 to {max(names)} is accepted" if names else "a named class is accepted"
            raise fault(file, f"The class in line {line}", parts[0], said)
        if len(parts) != 5 and (len(parts) < 7 or len(parts) % 2 == 0):
            raise fault(file, where, " ".join(parts), ACCEPTED)
        values = [number(part, file, where, ACCEPTED) * size[place % 2] for place, part in enumerate(parts[1:])]
        if kind == "boxes":
            boxes.append(Box(name, *_sides(values)))
        elif len(values) == 4:
            raise needs_outline(file, where)
        else:
            regions.append(Region(name, polygons=(tuple(values),)))
    return Boxes(tuple(boxes), size) if kind == "boxes" else Mask(regions=tuple(regions), size=size)


def _sides(values: list[float]) -> tuple[float, float, float, float]:
    if len(values) > 4:
        return around(values)
    x, y, width, height = values
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _upright_size(image: Path) -> Size:
    """By the header. 1 x 1 for what cannot be opened: whoever reads the image itself says what is wrong with it."""
    from PIL import Image  # only what reads a picture loads Pillow

    from graftwork_image.geometry import Placement
    from graftwork_image.reader import orientation

    try:
        with Image.open(image) as opened:
            return Placement(opened.size).turned(orientation(opened)).size
    except Exception:  # Pillow's format plugins raise whatever a damaged file makes them
        return 1, 1


def _names(folders: Iterable[Path]) -> dict[int, str]:
    for folder in folders:
        for name in NAMED_BY:
            if (file := folder / name).is_file():
                if file.suffix.lower() in (".yaml", ".yml"):
                    from graftwork_image.annotations.yaml_names import names_of  # yaml is slow to import

                    return names_of(file)
                return _of_lines(file)
    looked = ", ".join(NAMED_BY[:1] + NAMED_BY[4:5])
    first = next(iter(folders))
    raise DataError(
        f"The YOLO labels of '{first}' have classes by number, and no file names them; {looked} are accepted.",
        f"Write the names, one a line from class 0 on, into '{first / 'classes.txt'}'.",
    )


def _of_lines(file: Path) -> dict[int, str]:
    lines = text_of(file).rstrip().splitlines()
    for line, text in enumerate(lines, 1):
        if not text.strip():
            raise fault(file, f"Line {line}", text, "the name of a class is accepted")
    return {place: text.strip() for place, text in enumerate(lines)}
