"""Folders of files: one folder per label, optionally below train, validation and test."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from graftwork.data.listing import SPLITS, Listing, label_text, modality_of_files, readable
from graftwork.data.walk import shown, walk
from graftwork.errors import DataError


class Found(NamedTuple):
    """A file, with its label and split if it lies below folders that name them."""

    path: Path
    label: str | None
    split: str | None


def list_folder(root: Path, *, labelled: bool | None = True) -> Listing:
    """List the files below the folder of each label in `root`, sorted by name.

    Folders that wrap the label folders or the splits are passed through. See `graftwork.data.walk.walk` for which files
    count. labelled: if false or None, a folder that holds files and no label folders is listed without labels.

    Raises `DataError` for an empty folder, for one without label folders, or for one in which others lie beside splits.
    """
    walked = walk(root)
    inner = _unwrapped(root, walked.files)
    found, beside = _by_layout(inner, walked.files)
    notes = list(walked.notes)
    if not found and beside and not labelled:
        found, beside = [Found(path, None, None) for path in beside], []
    if not found:
        if not beside:
            raise DataError(f"The folder '{root}' is empty.", "Put the examples in it: one folder per label.")
        raise DataError(
            f"The folder '{root}' holds {len(beside)} files and no class folders; one folder per label is accepted.",
            f"Move the files: {root}/LABEL/FILE",
        )
    if beside:
        names = [str(path.relative_to(root)) for path in beside]
        notes.append(f"Left out: files that lie in no label folder ({shown(names)}).")
    modality = modality_of_files((file.path for file in found), f"folder '{root}'")
    return Listing(
        name=root.resolve().name,
        place=f"folder '{root}'",
        modality=modality,
        inputs=[file.path for file in found],
        labels=None if found[0].label is None else [file.label for file in found],
        splits=None if found[0].split is None else [str(file.split) for file in found],
        base=Path(),
        notes=tuple(notes),
    )


def files_below(path: Path) -> list[Path]:
    """The files at any depth below a folder, sorted, without hidden ones; `[path]` if it is not a folder."""
    return walk(path).files


def _below(path: Path, root: Path) -> tuple[str, ...]:
    """The parts of a path from `root` on, which it begins with."""
    return path.parts[len(root.parts) :]


def _unwrapped(root: Path, files: list[Path]) -> Path:
    """The folder that holds the label folders or splits: `root`, or below it where each holds one folder alone."""
    while files:
        parts = [_below(path, root) for path in files]
        top = parts[0][0]
        if top.lower() in SPLITS or any(p[0] != top or len(p) < 3 for p in parts):
            break
        root = root / top
    return root


def _by_layout(root: Path, files: list[Path]) -> tuple[list[Found], list[Path]]:
    """The files with their labels and splits, and the files that lie in no label folder."""
    tops = sorted({_below(path, root)[0] for path in files if path.parent != root})
    split_tops = [top for top in tops if top.lower() in SPLITS]
    others = [top for top in tops if top not in split_tops]
    deep = {top for path in files if len(parts := _below(path, root)) > 2 for top in parts[:1]}
    trains = any(SPLITS[top.lower()] == "train" for top in split_tops)
    if others and trains and len(split_tops) > 1 and deep.issuperset(split_tops):
        raise DataError(
            f"The folder '{root}' holds the splits {', '.join(split_tops)}, and beside them {shown(others)}, which "
            f"{'is no split' if len(others) == 1 else 'are no splits'}.",
            f"Move what is no split out of the folder, for example: mv {root}/{others[0]} {root.parent}",
        )
    depth = 1 if split_tops and trains and not others else 0
    found, beside = [], []
    for path in files:
        parts = _below(path, root)
        if len(parts) < depth + 2:
            beside.append(path)
            continue
        found.append(Found(path, label_text(readable(parts[depth])), SPLITS[parts[0].lower()] if depth else None))
    return found, beside
