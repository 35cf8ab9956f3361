"""A listing of a data source before anything is read: inputs, labels and splits, and the modality of the inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graftwork.data.labels import Dropped, LabelNames
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
"""The accepted names of splits, and the split that each stands for."""


@dataclass(frozen=True)
class Listing:
    """Inputs as listed (paths, texts, or bytes with a path), with their labels and splits if the source has them.

    base: the folder that relative paths start from. notes: warnings about what is not listed. rows: whether the inputs
    are rows of a table. begin: the number of the first input, if others came before (chunks). path_guard: where paths
    among the inputs may lead; None if the user named them. numbers: the places of those that are
    used; None for all. layout: how the source is laid out, by name. labels_place: where labels stand, in words.
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
    numbers: Sequence[int] | None = None
    layout: str = ""
    labels_place: str = ""

    def named(self, names: LabelNames) -> Listing:
        """The same with each label under its name, without the examples whose label is dropped."""
        if self.labels is None:
            return self
        labels = [names(label) for label in self.labels]
        used = [number for number, label in enumerate(labels) if not isinstance(label, Dropped)]
        found = [None if isinstance(label, Dropped) else label for label in labels]
        return replace(self, labels=found, numbers=used if len(used) < len(labels) else None)


def by_extension() -> dict[str, Modality]:
    """The modality that reads each file ending."""
    return {extension: modality for modality in modalities() for extension in modality.extensions}


def modality_of_files(names: Iterable[str], place: str) -> Modality:
    """The modality that reads most of the files.

    Raises `DataError` if no installed plugin reads any of them.
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
