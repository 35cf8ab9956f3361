"""Examples that are more than a file: folders, and files with companions, among the files of a folder.

A folder is an example where its name ends as examples of the modality do (`a.zarr`), or where it holds one of their
members (numbered frames) and none of its folders is an example. So the folder of a label is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from graftwork.data.modality_choice import by_extension
from graftwork.data.walk import Walk, shown
from graftwork.plugins.registry import modalities
from graftwork.specs.modality import Modality
from graftwork.specs.splits import SPLITS


def example_folders(root: Path, files: Iterable[Path], modality: Modality) -> dict[Path, Path]:
    """For each folder with files in it that is an example of the modality, or lies in one: that example."""
    if not modality.folders:
        return {}
    endings: dict[Path, set[str]] = {}
    for path in files:
        endings.setdefault(path.parent, set()).add(path.suffix.lower())
    found: dict[Path, Path] = {}
    holding: set[Path] = set()
    for folder, inside in endings.items():
        # From the outermost in: what lies in an example is none.
        named = (one for one in reversed(_up_to(root, folder)) if one.suffix.lower() in modality.extensions)
        if (example := next(named, None)) is not None:
            found[folder] = example
        elif inside & set(modality.members):
            holding.add(folder)
    above = {outer for example in {*holding, *found.values()} for outer in example.parents}
    holding -= above
    for folder in endings.keys() - found.keys():
        if (example := next((one for one in _up_to(root, folder) if one in holding), None)) is not None:
            found[folder] = example
    return found


def readers_of_folders(root: Path, files: list[Path], wanted: str = "") -> dict[Path, tuple[str, ...]]:
    """For each folder with files in it the modalities to which it is an example, or lies in one, by name.

    A folder right in `root`, or in that of a split, is taken for that of a label where others read the files in it,
    unless the modality is the wanted one.
    """
    found: dict[Path, tuple[str, ...]] = {}
    of_folders = [modality for modality in modalities() if modality.folders]
    known = by_extension() if of_folders else {}
    read_alone = {path.parent for path in files if path.suffix.lower() in known}
    for modality in of_folders:
        for folder, example in example_folders(root, files, modality).items():
            parts = example.relative_to(root).parts
            labelled = len(parts) - (len(parts) > 0 and parts[0].lower() in SPLITS) > 1
            if labelled or modality.name == wanted or folder not in read_alone:
                found[folder] = (*found.get(folder, ()), modality.name)
    return found


def grouped(root: Path, walked: Walk, modality: Modality | None) -> Walk:
    """The same with a folder that is an example in place of the files in it, and without companions of examples.

    A folder that is empty, or holds nothing of the modality, is an example too where examples lie at its depth, so that
    it is named as one that cannot be read.
    """
    if modality is None or not (modality.folders or modality.companions):
        return walked
    inside = example_folders(root, walked.files, modality)
    folders = set(inside.values()) | _hollow(root, walked, modality, inside)
    real = {path: place for path, place in walked.real.items() if path.parent not in inside}
    for path in walked.files:
        if path in walked.real and (example := inside.get(path.parent)) is not None:
            real[example] = walked.real[path].parents[len(path.relative_to(example).parts) - 1]
    rest = [path for path in walked.files if path.parent not in inside and not _is_in(path, folders)]
    owners = {path.with_suffix("") for path in rest if path.suffix.lower() in modality.file_endings}
    companions = {path: _owner(path, modality) for path in rest} if modality.companions else {}
    alone = [path for path, owner in companions.items() if owner and owner not in owners]
    notes = list(walked.notes)
    if alone:
        names = [str(path.relative_to(root)) for path in alone]
        notes.append(f"Left out: files that belong to an example that is not there ({shown(names)}).")
    files = sorted([*folders, *(path for path in rest if not companions.get(path))])
    return replace(walked, files=files, notes=tuple(notes), real=real, folders=frozenset(folders))


def _owner(path: Path, modality: Modality) -> Path | None:
    """The file without its ending that a companion belongs to; None for what is no companion."""
    name = path.name.lower()
    ending = next((ending for ending in modality.companions if name.endswith(ending) and name != ending), None)
    return None if ending is None else path.with_name(path.name[: -len(ending)])


def _hollow(root: Path, walked: Walk, modality: Modality, inside: Mapping[Path, Path]) -> set[Path]:
    """Folders beside examples that hold nothing of the modality."""
    depths = {len(example.parts) for example in inside.values()}
    strange = {path.parent for path in walked.files if path.parent not in inside}
    read = {path.parent for path in walked.files if path.suffix.lower() in modality.file_endings}
    above = {outer for example in inside.values() for outer in example.parents}
    above |= {outer for folder in read for outer in folder.parents}
    return {
        folder
        for folder in (*strange, *walked.empty)
        if len(folder.parts) in depths and folder not in read and folder not in above and folder != root
    }


def _is_in(path: Path, folders: set[Path]) -> bool:
    return any(outer in folders for outer in path.parents)


def _up_to(root: Path, folder: Path) -> list[Path]:
    """A folder and those above it, up to `root`."""
    chain = (folder, *folder.parents)
    return list(chain[: len(folder.parts) - len(root.parts) + 1])
