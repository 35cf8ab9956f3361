"""LibriSpeech: folders SPEAKER/CHAPTER of clips, each with SPEAKER-CHAPTER.trans.txt, which holds their texts.

Panayotov et al. 2015, LibriSpeech: an ASR corpus based on public domain audio books. A line is the name of a clip, a
blank and its text.
"""

from __future__ import annotations

import os
from pathlib import Path

from graftwork import Annotated, AnnotatedExamples, AnnotationReader, DataError
from graftwork_audio.annotations.places import first_line, lines, sound, split_below

TEXTS = "*.trans.txt"
DEPTH, FOLDERS = 4, 3
"""How deep, and into how many folders of each, it is looked for the first texts."""


class LibriSpeechReader(AnnotationReader):
    """Any folder above such clips; `train-clean-100`, `dev-clean` and the like on the way are splits."""

    def fits(self, place: Path) -> bool:
        found = _first(place, DEPTH) if place.is_dir() else None
        if found is None:
            return False
        name, _, text = first_line(found).partition(" ")
        return bool(text.strip()) and name.startswith(found.name.removesuffix(".trans.txt"))

    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        """Raises `DataError` for a line without a text."""
        examples = []
        for file in sorted(place.rglob(TEXTS)):
            split = split_below(place, file)
            for number, line in lines(file):
                name, _, text = line.partition(" ")
                if not text.strip():
                    raise DataError(
                        f"Line {number} of '{file}' is '{line[:60]}'; the name of a clip, a blank and its text are "
                        "accepted.",
                        "Mend the line.",
                    )
                examples.append(Annotated(sound(file.parent, name), text.strip(), split))
        return AnnotatedExamples(tuple(examples))


def _first(folder: Path, depth: int) -> Path | None:
    """The first file of texts in a folder or below its first ones."""
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    texts = next((entry for entry in ordered if entry.name.endswith(".trans.txt") and entry.is_file()), None)
    if texts is not None:
        return Path(texts.path)
    below = [entry.path for entry in ordered if entry.is_dir() and not entry.name.startswith(".")][:FOLDERS]
    return next((found for path in below if depth and (found := _first(Path(path), depth - 1))), None)
