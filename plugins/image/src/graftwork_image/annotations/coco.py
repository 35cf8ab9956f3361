"""COCO JSON: the boxes and outlines of all images of a split in one file (Lin et al. 2014, "Microsoft COCO")."""

from __future__ import annotations

import mmap
import re
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

from graftwork import (
    SPLITS,
    Annotated,
    AnnotatedExamples,
    AnnotationReader,
    Box,
    Boxes,
    DataError,
    Mask,
    Region,
    parse_json,
    split_of,
)
from graftwork_image.annotations.faults import CORRECT, fault, needs_outline
from graftwork_image.annotations.json_file import load, name_in, numbers_in, objects, size_in
from graftwork_image.annotations.places import left_out, listed, named, once, split_folders
from graftwork_image.runs import decompressed

LISTS = ("images", "annotations", "categories")
"""The fields that every file has."""

SMALL = 1 << 20
"""Bytes up to which a file is parsed to tell whether it is one; a larger one is searched for the fields."""

ASIDE = ("annotations", "labels")
"""Folders in which label files lie, beside those of the images."""


class CocoReader(AnnotationReader):
    """A file, or a folder that holds one for all images or one per split: beside the images, in annotations/, or in a
    folder per split (train/_annotations.coco.json). Images lie beside the file, in images/, or in a folder that is
    named like the file or as a word of its name (train2017 for instances_train2017.json), in the place or in images/.

    An image without annotations is a declared empty one. Crowds are ignored as boxes; in masks they are their class.
    Outlines are polygons, lists of runs or compressed runs, painted in the order of the file.
    """

    def fits(self, place: Path) -> bool:
        return next(_files(place), None) is not None

    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        files = [(file, _split(file, place)) for file in _files(place)]
        notes: tuple[str, ...] = ()
        if len(files) > 1 and (instances := [item for item in files if item[0].name.startswith("instances")]):
            others = [file.name for file, _ in files if not file.name.startswith("instances")]
            if others:
                notes = (f"Only files named instances are read; left out: {', '.join(others)}.",)
            files = instances
        by_split: dict[str, Path] = {}
        for file, split in files:
            if other := by_split.get(split, next(iter(by_split.values()), None) if not split else None):
                raise DataError(
                    f"'{other}' and '{file}' are two COCO files, and their names do not tell which split each is; "
                    "one file, or one per split, is accepted.",
                    f"Name one of them: '{file}'. Or put train, val or test into their names.",
                )
            by_split[split] = file
        examples = [example for split, file in by_split.items() for example in _File(file, split).read(kind)]
        return AnnotatedExamples(tuple(examples), (*notes, *left_out(examples)))


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        folders, candidates = [], [place]
    else:
        folders = [place, *(place / name for name in ASIDE), *(folder for _, folder in split_folders(place))]
        candidates = [path for folder in folders for path in listed(folder)]
    for path in candidates:
        if path.suffix.lower() == ".json" and path.is_file() and _is_coco(path):
            yield path


def _is_coco(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            head = opened.read(SMALL + 1)
            if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                return False
            if len(head) <= SMALL:
                found = parse_json(head)
                return all(isinstance(found.get(name), list) for name in LISTS)
            with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as all_of_it:
                return all(re.search(rb'"%s"\s*:\s*\[' % name.encode(), all_of_it) for name in LISTS)
    except (OSError, ValueError, RecursionError):
        return False


def _split(file: Path, place: Path) -> str:
    above = file.parent.name.lower() if file.parent != place else ""
    return SPLITS.get(above) or ("" if file == place else split_of(file.stem))


class _File:
    def __init__(self, file: Path, split: str) -> None:
        self.file, self.split = file, split
        root = file.parent.parent if file.parent.name.lower() in ASIDE else file.parent
        words = [file.stem, *(word for word in re.findall("[A-Za-z]+[0-9]*", file.stem) if split_of(word))]
        within = [root / name for word in words for name in (word, f"images/{word}")]
        self.folders = [
            folder
            for folder in (*within, root, root / "images", file.parent, file.parent / "images")
            if folder.is_dir()
        ]

    def read(self, kind: str) -> list[Annotated]:
        content = load(self.file)
        categories = self._categories(content)
        images: dict[Hashable, tuple[Path, tuple[int, int] | None]] = {}
        for place, image in enumerate(objects(content, "images", self.file)):
            at = f"images[{place}]"
            number = self._id(image, "id", at)
            if number in images:
                raise fault(
                    self.file, f"{at}.id", number, "an earlier image has it, and one image of an id is accepted"
                )
            path = named(name_in(image, "file_name", self.file, at), self.folders, self.file, f"{at}.file_name")
            images[number] = path, size_in(image, ("width", "height"), self.file, at)
        things: dict[Hashable, list[Any]] = {number: [] for number in images}
        for place, thing in enumerate(objects(content, "annotations", self.file)):
            at = f"annotations[{place}]"
            number, category = self._id(thing, "image_id", at), self._id(thing, "category_id", at)
            if number not in images:
                raise fault(self.file, f"{at}.image_id", number, "the id of one of its images is accepted")
            if category not in categories:
                raise fault(self.file, f"{at}.category_id", category, "the id of one of its categories is accepted")
            if kind == "boxes":
                things[number].append(self._box(thing, categories[category], at))
            else:
                things[number] += self._regions(thing, categories[category], images[number][1], at)
        made = Boxes if kind == "boxes" else lambda regions, size: Mask(regions=regions, size=size)
        examples = [
            Annotated(path, made(tuple(things[number]), size), self.split) for number, (path, size) in images.items()
        ]
        once(examples, self.file)
        return examples

    def _categories(self, content: dict[str, Any]) -> dict[Hashable, str]:
        found: dict[Hashable, str] = {}
        for place, category in enumerate(objects(content, "categories", self.file)):
            at = f"categories[{place}]"
            number, name = self._id(category, "id", at), name_in(category, "name", self.file, at)
            if found.setdefault(number, name) != name:
                raise fault(self.file, f"{at}.id", number, f"it is the id of '{found[number]}' already")
        return found

    def _id(self, holder: dict[str, Any], field: str, at: str) -> int | str:
        found = holder.get(field)
        if not isinstance(found, int | str) or isinstance(found, bool):
            raise fault(self.file, f"{at}.{field}", found, "a whole number is accepted")
        return found

    def _box(self, thing: dict[str, Any], name: str, at: str) -> Box:
        accepted = "four numbers are accepted: left, top, width and height in pixels"
        left, top, width, height = numbers_in(thing.get("bbox"), self.file, f"{at}.bbox", accepted, 4)
        return Box(name, left, top, left + width, top + height, ignored=thing.get("iscrowd") in (1, True))

    def _regions(self, thing: dict[str, Any], name: str, size: tuple[int, int] | None, at: str) -> Iterator[Region]:
        outline, where = thing.get("segmentation"), f"{at}.segmentation"
        if not outline:
            raise needs_outline(self.file, at)
        if isinstance(outline, dict):
            yield Region(name, runs=self._runs(outline, size, where))
            return
        if not isinstance(outline, list):
            raise fault(self.file, where, outline, "polygons, or runs with their size, are accepted")
        for place, polygon in enumerate(outline):
            accepted = "x and y of at least three corners are accepted"
            corners = numbers_in(polygon, self.file, f"{where}[{place}]", accepted)
            if len(corners) < 6 or len(corners) % 2:
                raise fault(self.file, f"{where}[{place}]", polygon, accepted)
            # Each by itself, since the parts of one thing may overlap.
            yield Region(name, polygons=(corners,))

    def _runs(self, outline: dict[str, Any], size: tuple[int, int] | None, where: str) -> tuple[int, ...]:
        height, width = numbers_in(
            outline.get("size"), self.file, f"{where}.size", "height and width in pixels are accepted", 2
        )
        if size is not None and (width, height) != size:
            said = f"the height and width of the image, {size[1]} and {size[0]}, are accepted"
            raise fault(self.file, f"{where}.size", outline["size"], said)
        counts = outline.get("counts")
        try:
            runs = decompressed(counts) if isinstance(counts, str) else tuple(counts or ())
        except (TypeError, ValueError) as error:
            raise DataError(f"{where}.counts of '{self.file}' cannot be read as runs: {error}.", CORRECT) from error
        if not all(isinstance(run, int) and run >= 0 for run in runs) or sum(runs) != width * height:
            said = f"whole numbers whose sum is that of the pixels, {width * height:g}, are accepted"
            raise fault(self.file, f"{where}.counts", counts, said)
        return runs
