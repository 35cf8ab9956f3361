"""How a folder holds its examples: the layouts that are known, and the one that a folder has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graftwork.data import folders, label_files
from graftwork.data.example_folders import grouped
from graftwork.data.folders import Files, Found
from graftwork.data.listing import Listing
from graftwork.data.options import SourceOptions
from graftwork.data.remote import copies
from graftwork.data.sources import Tables, find_source, open_path
from graftwork.data.table_folders import TableFolder, tables_in
from graftwork.data.walk import Walk, walk
from graftwork.errors import DataError, UsageError
from graftwork.specs.annotations import AnnotationSpec
from graftwork.specs.modality import Modality
from graftwork.specs.splits import SPLITS

LAYOUTS = {
    "class-folders": "one folder per label",
    "split-folders": "a folder per split, in each one folder per label",
    "metadata": "files, and a table 'metadata' that names them",
    "tables": "a table, or one per split",
    "text-files": "files, and beside each a text file that holds its label",
}
"""The layouts by name, in words."""


def open_data(source: Any, options: SourceOptions, *, streaming: bool = False) -> Tables | Listing:
    """The tables that `source` names or is, or its files or texts with their labels. streaming: as `open_source` has
    it.

    Raises as `open_source` does, `UsageError` for what can be read in two ways, and for a layout that is not known or
    does not fit, `DataError` for a folder without examples, and for labels of a kind that the task does not take.
    """
    found = find_source(source, streaming=streaming, allow_outside=options.allow_outside)
    if isinstance(found, Tables):
        options.check_no_layout(found.name)
        return found
    formats = label_files.Formats(found, options)
    if options.layout and options.layout not in LAYOUTS:
        return formats.asked(LAYOUTS)
    spec = None if options.layout else formats.only_fit()
    if spec is not None and options.spec.annotation:
        return formats.listed(spec)
    try:
        found = open_path(found, allow_outside=options.allow_outside, formats=formats.known)
        if isinstance(found, Tables):
            options.check_no_layout(found.name)
            if spec is None and (why := formats.of_other_kinds()) is not None:
                raise why
            return found if spec is None else formats.listed(spec)
        return _open_folder(found, options, formats, spec)
    except DataError as error:
        if (unlabelled := formats.unlabelled()) is not None:
            return unlabelled
        if not options.layout and (why := formats.of_other_kinds()) is not None:
            raise why from error
        raise


def _open_folder(
    root: Path, options: SourceOptions, formats: label_files.Formats, spec: AnnotationSpec | None
) -> Tables | Listing:
    """The tables of a folder, or its files with their labels. spec: the format of label files that gives names."""
    walked = walk(root, trusted=not copies.is_copy(root))
    modality, refusal = _modality(root, walked, options)
    walked = grouped(root, walked, modality)
    examples = folders.examples_among(walked, modality)
    if options.layout:
        name, found = options.layout, _asked(root, walked, examples, options)
    else:
        name, found = _only_fit(root, walked, examples, options, formats, spec, modality)
    if isinstance(found, AnnotationSpec):
        return formats.listed(found)
    if isinstance(found, Tables):
        return found
    options.check_no_columns(root)
    if refusal is not None:
        raise refusal
    return copies.as_named(folders.listed(root, walked, found, name, modality), root)


def _modality(root: Path, walked: Walk, options: SourceOptions) -> tuple[Modality | None, UsageError | None]:
    """The modality of the files of a folder; where two may read them, the refusal, which tables make void."""
    try:
        return folders.modality_of_folder(root, walked.files, options.wanted) if walked.files else None, None
    except UsageError as error:
        return None, error
    except DataError:  # said when it is known that the files are examples
        return None, None


def _only_fit(
    root: Path,
    walked: Walk,
    examples: list[Path],
    options: SourceOptions,
    formats: label_files.Formats,
    spec: AnnotationSpec | None,
    modality: Modality | None,
) -> tuple[str, Tables | Files | AnnotationSpec]:
    """The layout that a folder has, and the folder read by it; or the format of its label files."""
    read = {name: _read_as(name, root, walked, examples, options) for name in LAYOUTS}
    fits: dict[str, Tables | Files | AnnotationSpec] = {name: it for name, it in read.items() if it is not None}
    if spec is not None:
        fits.pop("text-files", None)  # the format says what stands in them
        fits[spec.name] = spec
    if options.spec.annotation and options.labelled is not False:
        # Names of folders lie in no input. Only texts stand in text files.
        fits = {name: it for name, it in fits.items() if isinstance(it, Tables) or name == "text-files"}
        if options.spec.annotation != "transcript":
            fits.pop("text-files", None)
    if all(name.lower() in SPLITS for name in folders.tops(root, examples)):
        fits.pop("class-folders", None)  # the labels would be train and test
    # Folders with one label in all are no labels where anything else explains the files.
    fits = {name: it for name, it in fits.items() if not isinstance(it, Files) or it.labels > 1} or fits
    if len(fits) > 1:
        one, other = list(fits)[:2]
        words = LAYOUTS | ({spec.name: spec.words} if spec else {})
        raise UsageError(
            f"'{root}' can be read in two ways: as {one} ({words[one]}) and as {other} ({words[other]}).",
            f"Say which: --layout {one} or --layout {other}",
        )
    for name, found in fits.items():
        # Two folders may be those of the inputs and of the labels that lie in them.
        if isinstance(found, Files) and found.labels <= 2 and options.labelled is not False:
            formats.check_no_rival(name, LAYOUTS[name], certain=found.labels <= 1)
        return name, found
    if not walked.files:
        raise DataError(f"The folder '{root}' is empty.", "Put the examples in it: one folder per label.")
    if (why := formats.of_other_kinds()) is not None:
        raise why
    if options.labelled and options.spec.annotation:
        raise formats.none()
    if options.labelled and walked.folders and modality is not None:
        raise DataError(
            f"'{min(walked.folders)}' is {folders.no_label_folder(modality)}; one folder per label is accepted, with a "
            "folder for each example in it.",
            f"Move what it holds: {root}/LABEL/EXAMPLE/FILE; if each file is an example, name its --backbone.",
        )
    if options.labelled:
        tables = tables_in(root)
        raise DataError(
            f"The folder '{root}' holds {len(walked.files)} files and no class folders; one folder per label is "
            "accepted.",
            f"Name one of its tables: {tables[0]}" if tables else f"Move the files: {root}/LABEL/FILE",
        )
    return "files", Files(tuple(Found(path) for path in examples))


def _asked(root: Path, walked: Walk, examples: list[Path], options: SourceOptions) -> Tables | Files:
    """The folder read by the layout that is named, one of `LAYOUTS`."""
    name = options.layout
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
