"""Folders of files: one folder per label, optionally below train, validation and test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from graftwork.data.listing import SPLITS, Listing, label_text, modality_of_files
from graftwork.errors import DataError


def list_folder(root: Path, *, labelled: bool | None = True) -> Listing:
    """List the files below the folder of each label in `root`, sorted by name; hidden files are skipped.

    labelled: if false or None, a folder that holds files and no label folders is listed without labels.

    Raises `DataError` for an empty folder, or for one without label folders.
    """
    tops = _folders(root)
    split_tops = [top for top in tops if top.name.lower() in SPLITS]
    if split_tops and len(split_tops) == len(tops) and any(SPLITS[top.name.lower()] == "train" for top in tops):
        found = [(path, label, SPLITS[top.name.lower()]) for top in tops for label, path in _labelled(top)]
    else:
        found = [(path, label, None) for label, path in _labelled(root)]
    loose = sorted(path for path in root.iterdir() if path.is_file() and not path.name.startswith("."))
    if not found and loose and not labelled:
        found = [(path, None, None) for path in loose]
    if not found:
        if not loose:
            raise DataError(f"The folder '{root}' is empty.", "Put the examples in it: one folder per label.")
        raise DataError(
            f"The folder '{root}' holds {len(loose)} files and no class folders; one folder per label is accepted.",
            f"Move the files: {root}/LABEL/FILE",
        )
    modality = modality_of_files((path.name for path, _, _ in found), f"folder '{root}'")
    return Listing(
        name=root.resolve().name,
        place=f"folder '{root}'",
        modality=modality,
        inputs=[path for path, _, _ in found],
        labels=None if found[0][1] is None else [label_text(label) for _, label, _ in found],
        splits=None if found[0][2] is None else [str(split) for _, _, split in found],
        base=Path(),
    )


def files_below(path: Path) -> list[Path]:
    """The files at any depth below a folder, sorted, without hidden ones; `[path]` if it is not a folder."""
    if not path.is_dir():
        return [path]
    found = (file for file in sorted(path.rglob("*")) if file.is_file())
    return [file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)]


def _labelled(root: Path) -> Iterator[tuple[str, Path]]:
    for folder in _folders(root):
        for path in files_below(folder):
            yield folder.name, path


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
