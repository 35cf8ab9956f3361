"""A listing of a data source before anything is read: inputs, labels and splits, and the modality of the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from graftwork.data.labels import Dropped, LabelNames
from graftwork.data.path_guard import PathGuard
from graftwork.specs.modality import Modality
from graftwork.specs.task import RawLabel


class Part(NamedTuple):
    """A part of a clip that is an example by itself, from and to in seconds."""

    path: Path
    seconds: tuple[float, float]


@dataclass(frozen=True)
class Listing:
    """Inputs as listed (paths, parts of clips, texts, or bytes with a path), with their labels and splits if the source
    has them.

    base: the folder that relative paths start from. notes: warnings about what is not listed. rows: whether the inputs
    are rows of a table. begin: the number of the first input, if others came before (chunks). path_guard: where paths
    among the inputs may lead; None if the user named them. numbers: the places of those that are
    used; None for all. layout: how the source is laid out, by name. labels_place: where labels stand, in words.
    input, label: the columns of the inputs and labels; empty for files of a folder.
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
    input: str = ""
    label: tuple[str, ...] = ()

    def named(self, names: LabelNames) -> Listing:
        """The same with each label under its name, without the examples whose label is dropped."""
        if self.labels is None:
            return self
        labels = [names(label) for label in self.labels]
        used = [number for number, label in enumerate(labels) if not isinstance(label, Dropped)]
        found = [None if isinstance(label, Dropped) else label for label in labels]
        return replace(self, labels=found, numbers=used if len(used) < len(labels) else None)
