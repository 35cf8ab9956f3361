"""Selection tables of Raven (Cornell Lab of Ornithology): a line for each thing that is heard, with its seconds.

A table lies beside its sound: `frogs.wav` with `frogs.selections.txt` or `frogs.Table.1.selections.txt`. Columns are
separated by tabs and named in the first line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from graftwork import Annotated, AnnotatedExamples, AnnotationReader, DataError, Span, Spans

BEGIN, END = "Begin Time (s)", "End Time (s)"
NAMES = ("Annotation", "Species", "Label", "Type")
"""Columns that may hold the name of what is heard; the first that is there counts."""
ENDING = ".selections.txt"


class RavenReader(AnnotationReader):
    """Kinds: "spans", in seconds. A line without a name, and a second view of the same selection (the spectrogram
    beside the waveform), are left out."""

    def fits(self, place: Path) -> bool:
        return place.is_dir() and any(BEGIN in _first_line(table) for table in _tables(place))

    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        sounds = {
            path.stem: path for path in sorted(place.rglob("*")) if path.suffix.lower() in (".wav", ".flac", ".mp3")
        }
        found = {path: list(_spans(table)) for table in _tables(place) if (path := sounds.get(_stem(table)))}
        examples = (
            Annotated(path, Spans(tuple(found[path]), "seconds") if path in found else None) for path in sounds.values()
        )
        lone = [table.name for table in _tables(place) if _stem(table) not in sounds]
        notes = (f"Left out: selection tables without a sound ({', '.join(lone[:3])}).",) if lone else ()
        return AnnotatedExamples(tuple(examples), notes)


def _tables(place: Path) -> list[Path]:
    return sorted(place.rglob(f"*{ENDING}"))


def _stem(table: Path) -> str:
    stem = table.name.removesuffix(ENDING)
    head, dot, number = stem.rpartition(".Table.")
    return head if dot and number.isdecimal() else stem


def _first_line(table: Path) -> str:
    with table.open(encoding="utf-8", errors="replace") as file:
        return file.readline()


def _spans(table: Path) -> Iterator[Span]:
    with table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        column = next((name for name in NAMES if name in (rows.fieldnames or ())), None)
        if column is None:
            raise DataError(
                f"'{table}' has the columns {', '.join(rows.fieldnames or ())}; one of {', '.join(NAMES)} is accepted "
                "for the name of what is heard.",
                "Add it in Raven: View, Add Annotation Column.",
            )
        for line, row in enumerate(rows, 2):
            name = (row[column] or "").strip()
            if not name or row.get("View", "").startswith("Waveform"):
                continue
            try:
                yield Span(float(row[BEGIN]), float(row[END]), name)
            except (KeyError, TypeError, ValueError):
                raise DataError(
                    f"Line {line} of '{table}' has no seconds in '{BEGIN}' and '{END}'; numbers are accepted.",
                    "Mend it, or export the table again.",
                ) from None
