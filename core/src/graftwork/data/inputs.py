"""What a user names to predict for: files, folders, tables and texts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from graftwork.data import remote
from graftwork.data.addresses import Address
from graftwork.data.folders import files_below
from graftwork.data.reading import Raws, as_raw, list_source
from graftwork.data.tables import SUFFIXES
from graftwork.errors import DataError, UsageError
from graftwork.plugins.loading import installed
from graftwork.specs.modality import Modality
from graftwork.specs.readers import Raw


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
    path = Path(word)
    if _is_fetched(word, modality):
        with remote.in_words():
            path = remote.unpacked(remote.fetched(word))
        if path.is_file() and path.suffix.lower() not in SUFFIXES:
            yield Raw(remote.shown(path), path)
        elif path.is_dir():
            yield from (Raw(remote.shown(file), file) for file in files_below(path))
        else:
            yield from _rows(word, modality, column)
    elif not os.path.exists(word):  # noqa: PTH110  pathlib's raises for a word as long as a text
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
    elif path.suffix.lower() in SUFFIXES and path.suffix.lower() not in modality.extensions:
        yield from _rows(word, modality, column)
    else:
        yield word


def _rows(word: str, modality: Modality, column: str | None) -> Iterator[Raw]:
    listing = list_source(word, column, labelled=None)
    if listing.modality.name != modality.name:
        raise DataError(
            f"The {listing.place} of '{word}' holds {listing.modality.name}, and this run reads {modality.name}.",
            "Name another: --input COLUMN",
        )
    yield from Raws.of(listing)


def _is_fetched(word: str, modality: Modality) -> bool:
    """Whether a word is an address to fetch. People write those of the web in texts too, and texts about them."""
    address = Address.of(word)
    if address is None or not modality.inline:
        return address is not None
    spec = installed().registered["sources"].get(address.scheme)
    if spec is None or any(sign.isspace() for sign in word.strip()):
        return False
    return not spec.plain or _looks_like_a_file(address.name, modality)


def _looks_like_a_file(word: str, modality: Modality) -> bool:
    ending = Path(word).suffix.lower()
    return not any(sign.isspace() for sign in word.strip()) and (ending in SUFFIXES or ending in modality.extensions)
