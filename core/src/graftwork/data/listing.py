"""A listing of a data source before anything is read: inputs, labels and splits, and the modality of the inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from graftwork.data.labels import Dropped, LabelNames
from graftwork.data.path_guard import PathGuard
from graftwork.errors import DataError
from graftwork.plugins.loading import installed
from graftwork.plugins.registry import modalities
from graftwork.specs.modality import Modality
from graftwork.specs.readers import Raw
from graftwork.specs.signatures import file_format, head_of, kind_of_ending
from graftwork.specs.task import RawLabel

PLUGINS = {
    "image": "graftwork-image",
    "sound": "graftwork-audio",
    "video": "graftwork-audio",
    "text": "graftwork-text",
}
"""Our distribution that reads files of each kind, for hints."""

LOOKED_INTO = 100
"""How many files without an ending are looked into, at most."""


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


def by_extension() -> dict[str, Modality]:
    """The modality that reads each file ending."""
    return {extension: modality for modality in modalities() for extension in modality.extensions}


def modality_of_files(files: Iterable[str | Path], place: str) -> Modality:
    """The modality that reads most of the files, by their endings. Files that have none are looked into: a sample of
    them decides for all. A text file beside a file of the same name goes with it, and does not count.

    files: names, or paths of files that can be opened.

    Raises `DataError` if no installed plugin reads any of them.
    """
    known, files = by_extension(), list(files)
    suffixes = Counter(Path(file).suffix.lower() for file in files)
    if len({known[suffix].name for suffix in suffixes if suffix in known}) > 1:
        suffixes = Counter(Path(file).suffix.lower() for file in without_partners(files, known))
    readable: Counter[str] = Counter()
    for suffix, count in suffixes.items():
        if suffix in known:
            readable[known[suffix].name] += count
    if sum(readable.values()) < len(files):
        bare = [file for file in files if isinstance(file, Path) and not has_ending(file, known)]
        sample = bare[:: len(bare) // LOOKED_INTO + 1]
        formats = (file_format(head_of(Raw(file.name, file))) for file in sample)
        inside = Counter(known[found.ending].name for found in formats if found and found.ending in known)
        if inside:
            readable[inside.most_common(1)[0][0]] += len(bare)
    if readable:
        most = readable.most_common(1)[0][0]
        return next(m for m in modalities() if m.name == most)
    endings = ", ".join(suffix or "none" for suffix, _ in suffixes.most_common(3))
    about, hint = _what_reads(files, known)
    read = ", ".join(m.name for m in modalities()) or "nothing"
    raise DataError(
        f"No installed plugin reads the files of {place} (endings: {endings}{about}); installed plugins read: {read}"
        f"{installed().disabled()}.",
        hint,
    )


def without_partners(files: Sequence[str | Path], known: Mapping[str, Modality]) -> list[str | Path]:
    """The files but for texts that have the name of a file of another modality: captions, transcripts, labels."""
    paths = [Path(file) for file in files]
    kinds = [known.get(path.suffix.lower()) for path in paths]
    stems = {path.with_suffix("") for path, kind in zip(paths, kinds, strict=True) if kind and not kind.inline}
    return [
        file
        for file, path, kind in zip(files, paths, kinds, strict=True)
        if kind is None or not kind.inline or path.with_suffix("") not in stems
    ]


def has_ending(file: Path, known: Mapping[str, Modality]) -> bool:
    """Whether what follows the last dot of a name says what a file is: up to 5 signs, not all of them digits."""
    suffix = file.suffix.lower()
    return suffix in known or (1 < len(suffix) <= 6 and not suffix[1:].isdigit())


def _what_reads(files: Sequence[str | Path], known: Mapping[str, Modality]) -> tuple[str, str]:
    """What the first file is, as a part of a sentence, and what to do so that files like it are read here."""
    first = Path(files[0]) if files else Path()
    found = file_format(head_of(Raw(first.name, first))) if isinstance(files[0], Path) else None
    about = f"; '{first.name}' is {found.name}" if found else ""
    if found and found.ending in known:
        return about, f"Name them by what they are, for example: mv '{first}' '{first.with_suffix(found.ending)}'"
    return about, reader_hint(found.kind if found else kind_of_ending(first.suffix.lower()))


def reader_hint(kind: str) -> str:
    """How to have files of a kind (`FileFormat.kind`) read that no installed plugin reads."""
    plugin = PLUGINS.get(kind, "")
    try:
        if plugin and version(plugin):
            return "See which plugins are disabled or broken: graftwork plugins"
    except PackageNotFoundError:
        return f"Install the plugin that reads them: pip install {plugin}"
    return (
        "Save them in a format that an installed plugin reads, or install one that reads them; see: graftwork plugins"
    )
