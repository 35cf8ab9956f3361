"""Which files of a folder hold which split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from graftwork import SPLITS, split_of

WORDS = {**SPLITS, "devel": "validation", "testa": "validation", "testb": "test"}
"""What files are called by, and the split that each word stands for; testa and testb as in CoNLL 2003."""


def by_split(place: Path, endings: Sequence[str]) -> list[tuple[Path, str]]:
    """The file, or those of a folder that are called by splits (train.conll, eng.testa.txt), each with its split; the
    only file of these endings in a folder that holds no other. Empty where there are none, or two for one split.
    """
    if place.is_file():
        return [(place, "")] if place.suffix.lower() in endings else []
    if not place.is_dir():
        return []
    files = [path for path in sorted(place.iterdir()) if path.is_file() and not path.name.startswith(".")]
    files = [path for path in files if path.suffix.lower() in endings or path.suffix.lower().lstrip(".") in WORDS]
    named = [(path, split) for path in files if (split := split_of(path.name, WORDS))]
    if named:
        return named if len({split for _, split in named}) == len(named) else []
    return [(files[0], "")] if len(files) == 1 and files[0].suffix.lower() in endings else []
