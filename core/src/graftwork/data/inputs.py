"""What a user names to predict for: files, folders, tables and texts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from graftwork.data.folders import files_below
from graftwork.data.options import SourceOptions
from graftwork.data.reading import Raws, as_raw, list_source
from graftwork.data.tables import ending, locate
from graftwork.errors import DataError, UsageError
from graftwork.specs.modality import Modality


def named_inputs(
    given: Iterable[str], modality: Modality, *, column: str | None = None, texts: bool = False
) -> list[Any]:
    """The inputs that words on a command line name, in order.

    A folder stands for the files in it and a table for its rows, unless the modality reads files of that ending itself.
    column: the column of the tables. texts: every word is a text.

    Raises `UsageError` for a word that looks like a file and names none, or for texts where the modality takes none,
    and `DataError` for a table of another modality.
    """
    if texts and not modality.inline:
        raise UsageError(f"This run reads {modality.name} files, not texts.", "Leave out --text, and name files.")
    if texts:
        return [as_raw(number, word, modality, Path(), None) for number, word in enumerate(given)]
    return [item for word in given for item in _inputs(word, modality, column)]


def _inputs(word: str, modality: Modality, column: str | None) -> Iterator[Any]:
    path, part = locate(word)
    if not os.path.exists(path):  # noqa: PTH110  pathlib's raises for a word as long as a text
        if modality.inline and _looks_like_a_file(word, modality):
            raise UsageError(
                f"'{word}' does not exist; files, folders, tables and texts are accepted.",
                f"If it is a text, write: graftwork predict RUN --text {word}",
            )
        yield word
    elif path.is_dir():
        files = files_below(path)
        if not files:
            raise DataError(f"The folder '{word}' is empty.", "Name a folder that holds files.")
        yield from map(str, files)
    elif part or (ending(path) and path.suffix.lower() not in modality.extensions):
        listing = list_source(word, SourceOptions(input=column, labelled=None))
        if listing.modality.name != modality.name:
            raise DataError(
                f"The {listing.place} of '{word}' holds {listing.modality.name}, and this run reads {modality.name}.",
                "Name another: --input COLUMN",
            )
        yield from Raws.of(listing)
    else:
        yield word


def _looks_like_a_file(word: str, modality: Modality) -> bool:
    path, part = locate(word)
    known = bool(ending(path)) or path.suffix.lower() in modality.extensions
    return bool(part) or (known and not any(sign.isspace() for sign in word.strip()))
