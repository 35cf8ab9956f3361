"""How a folder holds its examples: the layouts that are known, and the one that a folder has."""

from __future__ import annotations

from pathlib import Path

from graftwork.data import folders
from graftwork.data.folders import Files, Found
from graftwork.data.listing import SPLITS, Listing
from graftwork.data.options import SourceOptions
from graftwork.data.remote import copies
from graftwork.data.sources import Tables
from graftwork.data.table_folders import TableFolder, tables_in
from graftwork.data.walk import Walk, walk
from graftwork.errors import DataError, UsageError

LAYOUTS = {
    "class-folders": "one folder per label",
    "split-folders": "a folder per split, in each one folder per label",
    "metadata": "files, and a table 'metadata' that names them",
    "tables": "a table, or one per split",
    "text-files": "files, and beside each a text file that holds its label",
}
"""The layouts by name, in words."""


def open_folder(root: Path, options: SourceOptions) -> Tables | Listing:
    """The tables of a folder, or its files with their labels.

    Raises `DataError` for a folder without examples, `UsageError` for one that can be read in two ways, and for a
    layout that is not known or does not fit.
    """
    walked = walk(root, trusted=not copies.is_copy(root))
    examples = folders.examples_among(walked.files, f"folder '{root}'")
    if options.layout:
        name, found = options.layout, _asked(root, walked, examples, options)
    else:
        name, found = _only_fit(root, walked, examples, options)
    if isinstance(found, Tables):
        return found
    options.check_no_columns(root)
    return copies.as_named(folders.listed(root, walked, found, name), root)


def _only_fit(root: Path, walked: Walk, examples: list[Path], options: SourceOptions) -> tuple[str, Tables | Files]:
    """The layout that a folder has, and the folder read by it."""
    read = {name: _read_as(name, root, walked, examples, options) for name in LAYOUTS}
    fits = {name: found for name, found in read.items() if found is not None}
    if all(name.lower() in SPLITS for name in folders.tops(root, examples)):
        fits.pop("class-folders", None)  # the labels would be train and test
    # Folders with one label in all are no labels where anything else explains the files.
    fits = {name: found for name, found in fits.items() if isinstance(found, Tables) or found.labels > 1} or fits
    if len(fits) > 1:
        one, other = list(fits)[:2]
        raise UsageError(
            f"'{root}' can be read in two ways: as {one} ({LAYOUTS[one]}) and as {other} ({LAYOUTS[other]}).",
            f"Say which: --layout {one} or --layout {other}",
        )
    for name, found in fits.items():
        return name, found
    if not walked.files:
        raise DataError(f"The folder '{root}' is empty.", "Put the examples in it: one folder per label.")
    if options.labelled:
        tables = tables_in(root)
        raise DataError(
            f"The folder '{root}' holds {len(walked.files)} files and no class folders; one folder per label is "
            "accepted.",
            f"Name one of its tables: {tables[0]}" if tables else f"Move the files: {root}/LABEL/FILE",
        )
    return "files", Files(tuple(Found(path) for path in examples))


def _asked(root: Path, walked: Walk, examples: list[Path], options: SourceOptions) -> Tables | Files:
    """The folder read by the layout that is named."""
    name = options.layout
    if name not in LAYOUTS:
        known = "; ".join(f"{layout} ({words})" for layout, words in LAYOUTS.items())
        raise UsageError(f"--layout {name} is not known; known are {known}.", "Leave it out, and it is found.")
    found = _read_as(name, root, walked, examples, options)
    if found is None:
        raise UsageError(
            f"'{root}' is not laid out as {name}: {LAYOUTS[name]}.", "Leave out --layout, and it is found."
        )
    return found


def _read_as(
    name: str, root: Path, walked: Walk, examples: list[Path], options: SourceOptions
) -> Tables | Files | None:
    """The folder read by a layout; None where it is not laid out so. examples: the files of one modality."""
    match name:
        case "class-folders":
            return folders.by_label(root, examples)
        case "split-folders":
            return folders.by_split(root, examples)
        case "metadata":
            return TableFolder.of_metadata(root, walked, options)
        case "tables":
            return TableFolder.of_splits(root, walked, options)
        case _:
            return folders.by_text_file(root, walked)
