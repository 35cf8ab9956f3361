"""Common Voice: tables train.tsv, dev.tsv and test.tsv, or validated.tsv, and the clips that they name in clips.

Ardila et al. 2020, Common Voice: a massively-multilingual speech corpus (arXiv:1912.06670). The columns `path` and
`sentence` are read.
"""

from __future__ import annotations

from pathlib import Path

from graftwork import Annotated, AnnotatedExamples, AnnotationReader, DataError
from graftwork_audio.annotations.places import first_line, lines, sound

TABLES = {"train.tsv": "train", "dev.tsv": "validation", "test.tsv": "test"}
ALL = ("validated.tsv", "other.tsv")
"""The tables that are read where those of splits are missing: the first that is there."""
CLIPS = "clips"


class CommonVoiceReader(AnnotationReader):
    """The folder of one language, or one of its tables."""

    def fits(self, place: Path) -> bool:
        folder = place if place.is_dir() else place.parent
        files = _files(place)
        return bool(files) and (folder / CLIPS).is_dir() and all(map(_has_columns, files))

    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        """Raises `DataError` for a line with fewer cells than columns. A blank sentence is no label."""
        folder = place if place.is_dir() else place.parent
        examples, files = [], _files(place)
        for file, split in files.items():
            rows = lines(file)
            columns = next(rows)[1].split("\t")
            path, sentence = columns.index("path"), columns.index("sentence")
            for number, line in rows:
                cells = line.split("\t")
                if len(cells) <= max(path, sentence):
                    raise DataError(
                        f"Line {number} of '{file}' has {len(cells)} cells, and the header {len(columns)}.",
                        "Mend the line.",
                    )
                clip = cells[path].strip()
                clip = clip if Path(clip).suffix else f"{clip}.mp3"
                examples.append(Annotated(sound(folder / CLIPS, clip), _unquoted(cells[sentence]) or None, split))
        beside = sorted(path.name for path in folder.glob("*.tsv") if path not in files and _has_columns(path))
        left = f"Read: {', '.join(file.name for file in files)}; the other tables are not ({', '.join(beside)})."
        return AnnotatedExamples(tuple(examples), (left,) if beside and place.is_dir() else ())


def _files(place: Path) -> dict[Path, str]:
    """The tables that are read, each with its split."""
    if place.is_file():
        return {place: ""} if place.suffix.lower() == ".tsv" else {}
    by_split = {place / name: split for name, split in TABLES.items() if (place / name).is_file()}
    if place / "train.tsv" in by_split:
        return by_split
    return {place / name: "" for name in [name for name in ALL if (place / name).is_file()][:1]}


def _has_columns(file: Path) -> bool:
    return {"path", "sentence"} <= set(first_line(file).rstrip("\r\n").split("\t"))


def _unquoted(sentence: str) -> str:
    """A sentence as it was read; the corpus quotes those that hold quotes, and doubles these."""
    sentence = sentence.strip()
    if len(sentence) > 1 and sentence[0] == sentence[-1] == '"':
        sentence = sentence[1:-1].replace('""', '"')
    return sentence.strip()
