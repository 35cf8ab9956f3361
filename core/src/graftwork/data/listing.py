"""What a data source lists before anything is read: inputs, labels and splits, and which modality reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graftwork.data.path_guard import PathGuard
from graftwork.errors import DataError
from graftwork.plugins.loading import installed
from graftwork.plugins.registry import modalities
from graftwork.specs.modality import Modality
from graftwork.specs.task import RawLabel

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""The names that splits go by, and what each means."""


@dataclass(frozen=True)
class Listing:
    """Inputs as listed (paths, texts, or bytes with a path), with their labels and splits where the source has them.

    base: the folder that relative paths start from. notes: what a user should know of what is not listed. rows: whether
    the inputs are the rows of a table. begin: the number of the first of them, where others came before. path_guard:
    where paths among the inputs may lead; None where it is the user who named them.
    """

    name: str
    place: str
    modality: Modality
    inputs: Sequence[Any]
    labels: Sequence[RawLabel | None] | None
    splits: Sequence[str] | None
    base: Path
    notes: tuple[str, ...] = ()
    rows: bool = False
    begin: int = 0
    path_guard: PathGuard | None = None


def fold_label(label: str) -> str:
    """What is the same for labels that differ only by case or blanks."""
    return " ".join(label.split()).casefold()


def readable(words: str | bytes) -> str:
    """Words that can be shown: bytes, also those kept in a string (PEP 383), that are not UTF-8 as Windows-1252."""
    stored = words if isinstance(words, bytes) else words.encode("utf-8", "surrogateescape")
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored.decode("cp1252", errors="replace")


def by_extension() -> dict[str, Modality]:
    """The modality that reads each file ending."""
    return {extension: modality for modality in modalities() for extension in modality.extensions}


def modality_of_files(names: Iterable[str], place: str) -> Modality:
    """The modality that reads most of the files.

    Raises `DataError` when no installed plugin reads any of them.
    """
    known = by_extension()
    suffixes = Counter(Path(name).suffix.lower() for name in names)
    readable: Counter[str] = Counter()
    for suffix, count in suffixes.items():
        if suffix in known:
            readable[known[suffix].name] += count
    if readable:
        most = readable.most_common(1)[0][0]
        return next(m for m in modalities() if m.name == most)
    endings = ", ".join(suffix or "none" for suffix, _ in suffixes.most_common(3))
    read = ", ".join(m.name for m in modalities()) or "nothing"
    raise DataError(
        f"No installed plugin reads the files of {place} (endings: {endings}); installed plugins read: {read}"
        f"{installed().disabled()}.",
        "Install the plugin that reads them, for example: pip install graftwork-image",
    )
