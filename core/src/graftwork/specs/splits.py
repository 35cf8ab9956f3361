"""The names of splits, as folders, files and cells have them."""

from __future__ import annotations

import re
from collections.abc import Mapping

SPLITS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""The accepted names of splits, and the split that each stands for."""


def split_of(name: str, splits: Mapping[str, str] = SPLITS) -> str:
    """The split that a word of a name says ("instances_train2017", "train-clean-100"); empty where none does, or words
    of two. splits: the words, and the split that each stands for.
    """
    found = {splits[word] for word in re.findall("[a-z]+", name.lower()) if word in splits}
    return found.pop() if len(found) == 1 else ""
