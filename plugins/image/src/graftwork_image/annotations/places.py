"""Where the images of a label file lie: in folders beside it, one per split or one for all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from graftwork import SPLITS, Annotated, DataError
from graftwork_image.plugin import EXTENSIONS

ENDINGS = frozenset(EXTENSIONS)


def is_image(path: Path | str) -> bool:
    """Whether a file is an image by its ending."""
    return os.path.splitext(path)[1].lower() in ENDINGS  # noqa: PTH122 - a Path for each of many files is slow


def listed(folder: Path) -> list[Path]:
    """What lies in a folder, by name, without hidden files. Empty for what is no folder, or cannot be listed."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX")))
    except OSError:
        return []


def split_folders(place: Path) -> list[tuple[str, Path]]:
    """The folders in a place that are named as splits, each with its split."""
    return [
        (SPLITS[path.name.lower()], path) for path in listed(place) if path.name.lower() in SPLITS and path.is_dir()
    ]


def walked(folder: Path, endings: Iterable[str]) -> Iterator[Path]:
    """The files in a folder and its folders with one of the endings, in order. Links are followed, each folder once."""
    wanted, seen = frozenset(endings), set()
    for here, folders, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(here)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in wanted:  # noqa: PTH122
                yield Path(here, name)


def images_in(folder: Path) -> list[Path]:
    """The images in a folder and its folders, in order."""
    return list(walked(folder, ENDINGS))


def by_stem(images: Iterable[Path], folder: Path) -> dict[str, Path]:
    """Images by their path in the folder, without the ending.

    Raises `DataError` where two have one name, since the labels of that name are then those of either.
    """
    found: dict[str, Path] = {}
    for path in images:
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in found:
            raise DataError(
                f"'{found[stem]}' and '{path}' have one name, so that labels named '{stem}' are those of either; "
                "one image of a name is accepted.",
                "Rename or remove one of them.",
            )
        found[stem] = path
    return found


def named(name: str, folders: Sequence[Path], file: Path, where: str) -> Path:
    """The image that a label file names, in the first of the folders that has it; if none has, in the first that has
    others, where it should lie.

    file, where: the label file, and the line or field that holds the name.

    Raises `DataError` for a name that leads out of the folders.
    """
    pure = PurePosixPath(name.replace("\\", "/"))
    if not name or "\0" in name or ".." in pure.parts or pure.is_absolute() or re.match("[A-Za-z]:", name):
        raise DataError(
            f"{where} of '{file}' names the image '{name}'; the name of a file in the folder, or in one inside it, "
            "is accepted.",
            "Write it as it lies in the folder, without '..' and without a disk.",
        )
    tried = [folder / pure for folder in folders]
    there = (path for path in tried if path.exists())
    return next(there, None) or next((path for path in tried if _has_images(path.parent)), tried[0])


def _has_images(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(is_image(entry.name) for entry in entries)
    except OSError:
        return False


def once(examples: Sequence[Annotated], file: Path) -> None:
    """Refuse a label file that names an image twice, since each entry then says only a part of what lies in it."""
    seen: set[Path | str] = set()
    for example in examples:
        if example.input in seen:
            raise DataError(
                f"'{file}' names the image '{example.input}' twice; one entry of an image is accepted.",
                "Join the two, or remove one of them.",
            )
        seen.add(example.input)


def left_out(examples: Iterable[Annotated]) -> list[str]:
    """A note about images that lie beside those of the examples, and that no label file names."""
    named_ones = {example.input for example in examples}
    folders = {image.parent for image in named_ones if isinstance(image, Path)}
    beside = [path for folder in sorted(folders) for path in listed(folder) if is_image(path)]
    if not (count := sum(path not in named_ones for path in beside)):
        return []
    return [f"Images left out, since no label file names them: {count} of {len(beside)} in their folders."]
