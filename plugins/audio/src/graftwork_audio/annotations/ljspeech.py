"""LJSpeech: metadata.csv of lines NAME|TEXT|TEXT IN WORDS, and the clips in wavs.

Ito and Johnson 2017, The LJ Speech Dataset. Quotes are letters of the text like any others. Where numbers are written
out in a third column, that is the text, since it is what was said.
"""

from __future__ import annotations

from pathlib import Path

from graftwork import Annotated, AnnotatedExamples, AnnotationReader, DataError, split_of
from graftwork_audio.annotations.places import first_line, lines, sound

CLIPS = ("wavs", "wav", "clips", "audio", "")
"""The folders in which clips are looked for, beside the file."""


class LJSpeechReader(AnnotationReader):
    """A folder with metadata.csv, or one for each split (metadata_train.csv, metadata_val.csv); or such a file."""

    def fits(self, place: Path) -> bool:
        files = _files(place)
        return bool(files) and all(_is_list(file) for file in files)

    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        """Raises `DataError` for a line without a text."""
        examples = []
        for file in _files(place):
            split = split_of(file.stem) if place.is_dir() else ""
            folder: Path | None = None
            for number, line in lines(file):
                cells = [cell.strip() for cell in line.split("|")]
                text = next((cell for cell in cells[2:1:-1] + cells[1:2] if cell), "")
                if not (cells[0] and text):
                    raise DataError(
                        f"Line {number} of '{file}' is '{line[:60]}'; the name of a clip and its text with | between "
                        "are accepted.",
                        "Mend the line.",
                    )
                folder = folder or _clips(file, cells[0])
                examples.append(Annotated(sound(folder, cells[0]), text, split))
        return AnnotatedExamples(tuple(examples))


def _files(place: Path) -> list[Path]:
    """The list, or those of a folder by split; where metadata.csv stands beside these, they are parts of it."""
    if place.is_file():
        return [place] if place.suffix.lower() in (".csv", ".txt") else []
    files = sorted(path for path in place.glob("metadata*.*") if path.suffix.lower() in (".csv", ".txt"))
    by_split = [path for path in files if split_of(path.stem)]
    return by_split or [path for path in files if path.stem == "metadata"]


def _is_list(file: Path) -> bool:
    name, bar, text = first_line(file).partition("|")
    return bool(bar and text.strip() and name.strip()) and sound(_clips(file, name.strip()), name.strip()).is_file()


def _clips(file: Path, name: str) -> Path:
    """The folder that holds the clip of this name; the first of `CLIPS` that is there if none does."""
    folders = [file.parent / word for word in CLIPS if (file.parent / word).is_dir()]
    return next((folder for folder in folders if sound(folder, name).is_file()), folders[0])
