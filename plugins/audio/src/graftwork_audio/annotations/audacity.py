"""Audacity label tracks: NAME.txt beside NAME.wav, for each label a line START, END and LABEL in seconds, by tabs.

The manual of Audacity, "Importing and Exporting Labels". Lines that begin with a backslash say frequencies, which are
not read; a label whose START is its END is a point.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from graftwork import Annotated, AnnotatedExamples, AnnotationReader, DataError, Span, Spans
from graftwork_audio.annotations.places import lines, split_below
from graftwork_audio.plugin import EXTENSIONS

LINE = re.compile(r"\s*(-?[0-9]+(?:[.,][0-9]+)?)\t(-?[0-9]+(?:[.,][0-9]+)?)(?:\t(.*))?")
LOOKED_INTO = 20
"""How many tracks are looked into to tell whether they are of this format."""


class AudacityReader(AnnotationReader):
    """A folder of sounds with their tracks, also in folders of it; or one track."""

    def fits(self, place: Path) -> bool:
        files = list(_tracks(place))[:LOOKED_INTO] if place.is_file() else _some_tracks(place)
        filled = False
        for file in files:
            try:
                found = [LINE.fullmatch(line) for _, line in lines(file) if not line.startswith("\\")]
            except DataError:
                return False
            if not all(found):
                return False
            filled = filled or bool(found)
        return filled

    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        """By "name" each label is an example, that part of its sound; by "spans" each sound is one.

        Raises `DataError` for a line that is no label.
        """
        tracks = _tracks(place)
        sounds = dict(_sounds(place)) if place.is_dir() else {next(iter(tracks.values())): next(iter(tracks))}
        examples: list[Annotated] = []
        points = 0
        for path, track in sounds.items():
            split = split_below(place, path) if place.is_dir() else ""
            if kind == "spans":
                spans = None if track is None else Spans(tuple(_labels(track)), "seconds")
                examples.append(Annotated(path, spans, split))
                continue
            for span in _labels(track) if track else ():
                points += span.start == span.end
                if span.start != span.end:
                    examples.append(Annotated(path, span.label or None, split, (span.start, span.end)))
        notes = []
        if points:
            notes.append(f"Left out: {points} labels that are points of time, and no part of a sound.")
        alone = [path.name for path, track in sounds.items() if track is None]
        if alone and kind == "name":
            notes.append(f"Left out: {len(alone)} sounds without a label track, the first of them {alone[0]}.")
        return AnnotatedExamples(tuple(examples), tuple(notes))


def _labels(track: Path) -> Iterator[Span]:
    for number, line in lines(track):
        if line.startswith("\\"):
            continue
        found = LINE.fullmatch(line)
        if found is None:
            raise DataError(
                f"Line {number} of '{track}' is '{line[:60]}'; start, end and label are accepted, with tabs between "
                "and times in seconds.",
                "Export the labels from Audacity again.",
            )
        start, end = (float(cell.replace(",", ".")) for cell in found.groups()[:2])
        yield Span(start, end, (found[3] or "").strip())


def _tracks(place: Path) -> dict[Path, Path]:
    """Tracks, each with its sound."""
    if place.is_file():
        beside = (place.with_suffix(ending) for ending in EXTENSIONS)
        found = next((path for path in beside if path.is_file()), None) if place.suffix.lower() == ".txt" else None
        return {place: found} if found else {}
    return {track: path for path, track in _sounds(place) if track is not None}


def _some_tracks(folder: Path) -> list[Path]:
    """Tracks in a folder and right below it, some of them."""
    found: list[Path] = []
    with os.scandir(folder) as entries:
        below = sorted(entry.path for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    for place in [str(folder), *below]:
        names = os.listdir(place)  # noqa: PTH208  a path for each of many files would take long
        if texts := sorted(name for name in names if name.lower().endswith(".txt")):
            stems = {Path(name).stem for name in names if Path(name).suffix.lower() in EXTENSIONS}
            found += [Path(place, name) for name in texts if name[:-4] in stems]
        if len(found) >= LOOKED_INTO:
            break
    return found[:LOOKED_INTO]


def _sounds(folder: Path) -> Iterator[tuple[Path, Path | None]]:
    """The sounds at any depth, each with its track if it has one."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in EXTENSIONS and not hidden and path.is_file():
            track = path.with_suffix(".txt")
            yield path, track if track.is_file() else None
