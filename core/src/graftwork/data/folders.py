"""Folders of files: one folder per label, also below a folder per split; or a text file beside each file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from graftwork.data.example_folders import grouped, readers_of_folders
from graftwork.data.labels import readable
from graftwork.data.listing import Listing
from graftwork.data.modality_choice import by_extension, has_ending, modality_of_files
from graftwork.data.walk import Walk, shown, walk
from graftwork.errors import DataError
from graftwork.specs.modality import Modality
from graftwork.specs.splits import SPLITS

PLACES = {"class-folders": "folder names", "split-folders": "folder names", "text-files": "text files"}
"""Where labels stand, by layout."""
PARTNERS = 0.8
"""The fraction of the files that have a text file beside them where text files hold the labels."""


class Found(NamedTuple):
    """A file, with its label and split if it has them."""

    path: Path
    label: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Files:
    """Files as a layout has them. beside: those that it has no place for."""

    files: tuple[Found, ...]
    beside: tuple[Path, ...] = ()

    @property
    def labels(self) -> int:
        """How many labels there are."""
        return len({file.label for file in self.files})


def modality_of_folder(root: Path, files: list[Path], wanted: str = "") -> Modality:
    """The modality that reads most of the files of a folder, alone or as parts of folders that are examples.

    wanted: as `modality_of_files` has it, and raises what that raises.
    """
    return modality_of_files(files, f"folder '{root}'", wanted, readers_of_folders(root, files, wanted))


def examples_among(walked: Walk, modality: Modality | None) -> list[Path]:
    """The examples of a modality among what is there, by their endings or without any; all files for None."""
    if modality is None:
        return walked.files
    known, endings = by_extension(), modality.file_endings
    return [
        path
        for path in walked.files
        if path in walked.folders or path.suffix.lower() in endings or (endings and not has_ending(path, known))
    ]


def by_label(root: Path, files: list[Path]) -> Files | None:
    """One folder per label."""
    return _below_labels(_unwrapped(root, files), files, {})


def by_split(root: Path, files: list[Path]) -> Files | None:
    """A folder per split, in each one folder per label; where other folders lie beside them, two splits or more."""
    inner = _unwrapped(root, files)
    names = tops(root, files)
    splits = {top: SPLITS[top.lower()] for top in names if top.lower() in SPLITS}
    deep = {parts[0] for path in files if len(parts := _below(path, inner)) > 2} & splits.keys()
    alone = len(splits) == len(names)
    if not deep or not (alone or (len(splits) > 1 and deep == splits.keys())):
        return None
    return _below_labels(inner, files, splits)


def by_text_file(root: Path, walked: Walk) -> Files | None:
    """Files in one folder, or one per split, most with a text file of the same name that holds the label."""
    files = walked.files
    inner = _unwrapped(root, files)
    texts = {path for path in files if path.suffix.lower() == ".txt"}
    others = [path for path in files if path not in texts]
    partners = {path: path.with_suffix(".txt") for path in others if path.with_suffix(".txt") in texts}
    places = {_below(path.parent, inner) for path in partners}
    splits = {place: SPLITS[place[0].lower()] for place in places if place and "".join(place).lower() in SPLITS}
    if not partners or len(partners) < PARTNERS * len(others) or not (len(places) == 1 or len(splits) == len(places)):
        return None
    found = [
        Found(
            path, _text(walked.at(partners[path])) if path in partners else None, splits.get(_below(path.parent, inner))
        )
        for path in others
        if _below(path.parent, inner) in places
    ]
    used = {*(file.path for file in found), *partners.values()}
    return Files(tuple(found), tuple(path for path in files if path not in used))


def listed(root: Path, walked: Walk, found: Files, layout: str, modality: Modality | None) -> Listing:
    """The listing of examples, which are those of one modality: `modality` where folders are among them.

    Raises `DataError` where no installed plugin reads them, where another one reads about as many files of the folder,
    and for an example that lies where the folders of labels do, `UsageError` where two may read them.
    """
    files, place = found.files, f"folder '{root}'"
    if modality is None or not any(file.path in walked.folders for file in files):
        wanted = "" if modality is None else modality.name
        modality = modality_of_files((file.path for file in files), place, wanted)
    if astray := [path for path in found.beside if path in walked.folders]:
        raise DataError(
            f"'{astray[0]}' is {no_label_folder(modality)}; one folder per label is accepted, with a folder for each "
            "example in it.",
            f"Move what it holds: {astray[0]}/EXAMPLE/FILE",
        )
    notes = list(walked.notes)
    if found.beside:
        where = "that go with no example" if layout == "text-files" else "that lie in no label folder"
        notes.append(f"Left out: files {where} ({shown(_names(found.beside, root))}).")
    placed = {*(file.path for file in files), *found.beside}
    strange = [path for path in walked.files if path not in placed]
    if strange and layout != "text-files":
        _check_no_rival(root, modality, [file.path for file in files], strange)
        endings = Counter(path.suffix.lower() for path in strange).most_common(5)
        counted = ", ".join(f"{ending} {count}" for ending, count in endings)
        notes.append(
            f"Left out: files that are no {modality.noun} by their endings ({counted}): {shown(_names(strange, root))}."
        )
    return Listing(
        name=root.resolve().name,
        place=place,
        modality=modality,
        inputs=[walked.at(file.path) for file in files],
        labels=None if all(file.label is None for file in files) else [file.label for file in files],
        splits=None if files[0].split is None else [str(file.split) for file in files],
        base=Path(),
        notes=tuple(notes),
        layout=layout,
        labels_place=PLACES.get(layout, ""),
    )


def tops(root: Path, files: list[Path]) -> list[str]:
    """The names of the folders that hold the files, below those that wrap them all."""
    inner = _unwrapped(root, files)
    return sorted({parts[0] for path in files if len(parts := _below(path, inner)) > 1})


def no_label_folder(modality: Modality) -> str:
    """What a folder is that looks like an example itself where a label's is expected, in words."""
    held = f" (it holds {', '.join(filter(None, modality.members))} files)" if any(modality.members) else ""
    return f"an example itself{held} to the modality '{modality.name}', and lies where folders of labels do"


def examples_below(path: Path, modality: Modality, *, trusted: bool = True) -> list[Path]:
    """The examples of a modality and other files at any depth below a folder, sorted, without hidden ones; `[path]` if
    it is an example itself, or no folder."""
    walked = grouped(path, walk(path, trusted=trusted), modality)
    return [walked.at(file) for file in walked.files]


def _check_no_rival(root: Path, modality: Modality, files: list[Path], others: list[Path]) -> None:
    """Raises `DataError` where another modality reads half as many of the other files, which do not go with these."""
    known, stems = by_extension(), {path.with_suffix("") for path in files}
    lone = (path for path in others if path.with_suffix("") not in stems)
    rivals = Counter(known[path.suffix.lower()].noun for path in lone if path.suffix.lower() in known)
    if rivals and rivals.most_common(1)[0][1] > len(files) / 2:
        noun, count = rivals.most_common(1)[0]
        raise DataError(
            f"The folder '{root}' holds {len(files)} files of {modality.noun} and {count} of {noun}; one of them is "
            "accepted.",
            "Move one of them out of the folder.",
        )


def _names(paths: Iterable[Path], root: Path) -> list[str]:
    return [readable(str(path.relative_to(root))) for path in paths]


def _text(path: Path) -> str:
    return readable(path.read_bytes()).removeprefix("\ufeff").strip()


def _below(path: Path, root: Path) -> tuple[str, ...]:
    """The parts of a path from `root` on, which it begins with."""
    return path.parts[len(root.parts) :]


def _unwrapped(root: Path, files: list[Path]) -> Path:
    """The folder that holds the label folders or splits: `root`, or below it where each holds one folder alone."""
    while files:
        parts = [_below(path, root) for path in files]
        if not all(parts):  # the folder itself is the example
            break
        top = parts[0][0]
        if top.lower() in SPLITS or any(p[0] != top or len(p) < 3 for p in parts):
            break
        root = root / top
    return root


def _below_labels(root: Path, files: list[Path], splits: dict[str, str]) -> Files | None:
    """The files below label folders, which lie in `root`, or where there are splits, in each of them."""
    found, beside, depth = [], [], 1 if splits else 0
    for path in files:
        parts = _below(path, root)
        if len(parts) < depth + 2 or (splits and parts[0] not in splits):
            beside.append(path)
        else:
            found.append(Found(path, readable(parts[depth]), splits.get(parts[0])))
    return Files(tuple(found), tuple(beside)) if found else None
