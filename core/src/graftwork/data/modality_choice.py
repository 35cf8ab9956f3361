"""Whose data are they: the modality that reads them, by what the user named and by the endings of files.

Where two modalities read most of the same files, nothing is guessed: the sentence names both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import permutations
from pathlib import Path

from graftwork.errors import DataError, UsageError
from graftwork.plugins.loading import installed
from graftwork.plugins.registry import modalities
from graftwork.specs.modality import Modality
from graftwork.specs.readers import Raw
from graftwork.specs.signatures import file_format, head_of, kind_of_ending

PLUGINS = {
    "image": "graftwork-image",
    "sound": "graftwork-audio",
    "video": "graftwork-audio",
    "text": "graftwork-text",
}
"""Our distribution that reads files of each kind, for hints."""

LOOKED_INTO = 100
"""How many files without an ending are looked into, at most."""


def by_extension(wanted: str = "") -> dict[str, Modality]:
    """A modality that reads files of each ending: of several the wanted one, else the first.

    wanted: the name of a modality; empty for none.
    """
    found: dict[str, Modality] = {}
    for modality in sorted(modalities(), key=lambda modality: modality.name != wanted):
        for ending in modality.file_endings:
            found.setdefault(ending, modality)
    return found


def the_one(found: Sequence[Modality], what: str, wanted: str = "") -> Modality | None:
    """The modality that reads `what`: the only one, or of several the wanted one; None if there is none.

    Raises `UsageError`, which names two of them, where none is wanted.
    """
    chosen = [modality for modality in found if modality.name == wanted] or list(found)
    if len(chosen) > 1:
        one, other = chosen[:2]
        raise UsageError(
            f"Two modalities read {what}: {one.name} ({one.noun}) and {other.name} ({other.noun}).",
            f"Name an encoder (--backbone), or say which: --modality {one.name} or --modality {other.name}",
        )
    return chosen[0] if chosen else None


def most_readable(claims: Mapping[tuple[str, ...], int], what: str, wanted: str = "") -> Modality | None:
    """The modality that reads most; None if none reads any. What the wanted one reads is no other's.

    claims: how many of the files are read by each set of modalities, by name.

    Raises `UsageError` where another modality reads more than half of the same files too.
    """
    counts: Counter[str] = Counter()
    shared: Counter[tuple[str, str]] = Counter()
    for names, count in claims.items():
        readers = (wanted,) if wanted in names else dict.fromkeys(names)
        counts.update(dict.fromkeys(readers, count))
        shared.update(dict.fromkeys(permutations(readers, 2), count))
    if not counts:
        return None
    most = max(counts, key=lambda name: (counts[name], name == wanted))
    rivals = [m for m in modalities() if m.name == most or shared[most, m.name] > counts[most] / 2]
    return the_one(rivals, what)


def modality_of_files(
    files: Iterable[str | Path],
    place: str,
    wanted: str = "",
    folders: Mapping[Path, tuple[str, ...]] | None = None,
) -> Modality:
    """The modality that reads most of the files, by their endings. Files that have none are looked into: a sample of
    them decides for all. A text file beside a file of the same name goes with it, and does not count.

    files: names, or paths of files that can be opened. wanted: the modality that the user named, perhaps by its
    encoder; it decides where several read the same files. folders: the modalities to which a folder with files in it is
    an example or lies in one, by name.

    Raises `DataError` if no installed plugin reads any of them, `UsageError` if two read most of them, none wanted.
    """
    known, files, folders = by_extension(wanted), list(files), folders or {}
    readers = readers_of_endings()
    counted = files
    if len({known[suffix].name for suffix in {Path(file).suffix.lower() for file in files} if suffix in known}) > 1:
        counted = without_partners(files, known)
    claims: Counter[tuple[str, ...]] = Counter()
    for (suffix, folder), count in Counter(_kinds(counted, folders)).items():
        claims[(*readers.get(suffix, ()), *(folders[folder] if folder else ()))] += count
    unread = claims.pop((), 0)
    if unread:
        bare = [file for file in files if isinstance(file, Path) and not has_ending(file, known)]
        bare = [file for file in bare if file.parent not in folders]
        sample = bare[:: len(bare) // LOOKED_INTO + 1]
        formats = (file_format(head_of(Raw(file.name, file))) for file in sample)
        inside = Counter(readers[found.ending] for found in formats if found and found.ending in readers)
        if inside:
            claims[inside.most_common(1)[0][0]] += len(bare)
    suffixes = Counter(Path(file).suffix.lower() for file in counted)
    endings = ", ".join(suffix or "none" for suffix, _ in suffixes.most_common(3))
    found = most_readable(claims, f"the files of {place} (endings: {endings})", wanted)
    if found is not None:
        return found
    about, hint = _what_reads(files, known)
    raise DataError(
        f"No installed plugin reads the files of {place} (endings: {endings}{about}); installed plugins read: "
        f"{named_modalities()}.",
        hint,
    )


def readers_of_endings() -> dict[str, tuple[str, ...]]:
    """The names of the modalities that read files of each ending."""
    found: dict[str, tuple[str, ...]] = {}
    for modality in modalities():
        for ending in modality.file_endings:
            found[ending] = (*found.get(ending, ()), modality.name)
    return found


def named_modalities() -> str:
    """What installed plugins read, as the end of a sentence, and which plugins are disabled."""
    return (", ".join(m.name for m in modalities()) or "nothing") + installed().disabled()


def _kinds(files: Iterable[str | Path], folders: Mapping[Path, tuple[str, ...]]) -> Iterator[tuple[str, Path | None]]:
    """For each file what decides who reads it: its ending, and its folder where that is an example of a modality."""
    for file in files:
        path = Path(file)
        yield path.suffix.lower(), path.parent if folders and path.parent in folders else None


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
