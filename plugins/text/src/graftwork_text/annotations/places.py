"""Which files of a folder hold which split."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "devel": "validation",
    "testa": "validation",
    "test": "test",
    "testing": "test",
    "testb": "test",
}
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
    files = [path for path in files if path.suffix.lower() in endings or path.suffix.lower().lstrip(".") in SPLITS]
    named = [(path, split) for path in files if (split := _split(path))]
    if named:
        return named if len({split for _, split in named}) == len(named) else []
    return [(files[0], "")] if len(files) == 1 and files[0].suffix.lower() in endings else []


def _split(path: Path) -> str:
    """The split that a word of a name says; empty where none does, or two do."""
    found = {SPLITS[word] for word in re.split(r"[^a-z]+", path.name.lower()) if word in SPLITS}
    return found.pop() if len(found) == 1 else ""
