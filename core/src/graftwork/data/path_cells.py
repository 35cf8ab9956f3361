"""Cells of a table that name files or folders, and whose they are: never texts in silence."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from graftwork.data.example_folders import example_folders
from graftwork.data.modality_choice import (
    by_extension,
    most_readable,
    named_modalities,
    reader_hint,
    readers_of_endings,
)
from graftwork.data.remote.addresses import Address
from graftwork.errors import DataError
from graftwork.plugins.registry import modalities
from graftwork.specs.example_files import files_in
from graftwork.specs.limits import limits
from graftwork.specs.modality import Modality
from graftwork.specs.signatures import kind_of_ending

LONGEST = 1024
"""The characters of a cell that may be a path."""


def modality_of_paths(cells: Sequence[str], base: Path, place: str, wanted: str = "") -> Modality | None:
    """The modality of the files or folders that most of some cells name; None where they are texts.

    base: the folder that paths start from. wanted: as `modality_of_files` takes it.

    Raises `DataError` for paths that no installed plugin reads, and for what looks like paths where nothing is there,
    `UsageError` where two modalities read them.
    """
    known, readers = by_extension(wanted), readers_of_endings()
    found = [cell for cell in cells if (base / cell).name and _exists(cell, base)]
    folders = {cell for cell in found if os.path.isdir(base / cell)}  # noqa: PTH112  pathlib's raises for some
    claims: Counter[tuple[str, ...]] = Counter()
    for cell in cells:
        ending = Path(_path(cell)).suffix.lower()
        if cell in folders:
            claims[_readers_of_folder(base / cell)] += 1
        elif ending in known and not known[ending].inline and "\n" not in cell:
            claims[readers[ending]] += 1
    claims.pop((), None)
    if claims.total() > len(cells) / 2:
        return most_readable(claims, f"what {place} names", wanted)
    named = next((modality for modality in modalities() if modality.name == wanted), None)
    plausible = [cell for cell in cells if looks_like_path(cell)]
    single = not any(sign.isspace() for cell in cells for sign in cell)
    most = max(len(plausible), len(folders))
    paths = most > len(cells) / 2 or len(found) == len(cells) or (single and len(folders) > len(cells) / 5)
    if not paths or (named is not None and named.inline):
        return None
    if named is not None:
        return named  # the files, one at a time, say what is wrong with them
    if not folders and len(found) == len(cells):
        return None  # files, whose names are refused as texts
    first = next((cell for cell in found if cell in folders), (found or plausible)[0])
    if folders:
        raise DataError(
            f"The {place} names folders ('{first}'), and no installed plugin reads these as examples; installed "
            f"plugins read: {named_modalities()}.",
            "Name the files in them, or install a plugin whose examples are folders; see: graftwork plugins",
        )
    state = f"{len(found)} of the first {len(cells)} exist" if found else "nothing is there"
    inline = next((modality.name for modality in modalities() if modality.inline), "")
    kind = kind_of_ending(Path(first).suffix.lower())
    mend = reader_hint(kind) if kind and kind != "text" and not found else "Mend the paths"
    raise DataError(
        f"The {place} holds what look like paths ('{first}'; {state}), of no file that an installed plugin reads by "
        "its ending; texts, or paths of files relative to the table, are accepted.",
        f"{mend}; or if they are texts: --modality {inline}" if inline else mend,
    )


def looks_like_path(cell: str) -> bool:
    """Whether a cell is one word with a separator in it, or with the ending of a file, and no address."""
    word = cell.strip()
    if not word or len(word) > LONGEST or any(sign.isspace() for sign in word) or Address.of(word) is not None:
        return False
    if not any(sign.isalpha() for sign in word):
        return False
    return any(sign in word[1:-1] for sign in "/\\") or bool(kind_of_ending(Path(word).suffix.lower()))


def _readers_of_folder(folder: Path) -> tuple[str, ...]:
    """The modalities to which a folder is an example, by name."""
    files = list(islice(files_in(folder), limits().folder_files))
    return tuple(
        modality.name
        for modality in modalities()
        if modality.folders and folder in example_folders(folder, files, modality).values()
    )


def _exists(cell: str, base: Path) -> bool:
    return len(cell) <= LONGEST and "\n" not in cell and os.path.exists(base / cell)  # noqa: PTH110  as above


def _path(cell: str) -> str:
    """The cell, or the path of one that is an address, which may go on after it."""
    address = Address.of(cell)
    return address.path if address else cell
