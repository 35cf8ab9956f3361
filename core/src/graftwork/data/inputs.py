"""What a user names to predict for: files, folders, tables and texts, some at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from graftwork.data import label_files
from graftwork.data.columns import Columns
from graftwork.data.folders import examples_below
from graftwork.data.formats.metadata import as_text
from graftwork.data.formats.tables import ending, locate
from graftwork.data.raws import Raws, as_raw, companions
from graftwork.data.remote import copies
from graftwork.data.remote.addresses import Address
from graftwork.data.sources import Tables, open_source
from graftwork.data.streaming import cut_tables
from graftwork.errors import DataError, UsageError
from graftwork.plugins.loading import installed
from graftwork.specs.modality import Modality
from graftwork.specs.readers import Raw


@dataclass(frozen=True)
class Inputs:
    """Inputs that are answered together. rows: those of the table that they stand in, one each; None for others."""

    inputs: Sequence[Any]
    rows: pa.Table | None = None


def named_inputs(
    given: Iterable[str], modality: Modality, *, column: str | None = None, usual: str = "", texts: bool = False
) -> Iterator[Inputs]:
    """The inputs that words on a command line name, in order.

    A folder stands for the files in it and a table for its rows, unless the modality reads files of that ending itself;
    label files, and a folder that holds them, for the examples that are labelled there.
    column: the column of the tables; usual: the one that is taken where none is named and it is there. texts: every
    word is a text.

    Raises `UsageError` for a word that looks like a file and names none, or for texts where the modality takes none,
    and `DataError` for a table of another modality.
    """
    if texts and not modality.inline:
        raise UsageError(f"This run reads {modality.name} files, not texts.", "Leave out --text, and name files.")
    if texts:
        yield Inputs([as_raw(number, word, modality, Path(), None) for number, word in enumerate(given)])
        return
    named = [(one, None if column else one.labelled(modality)) for one in (_located(word, modality) for word in given)]
    for tables, together in groupby(named, lambda pair: pair[1] is None and pair[0].is_table(modality)):
        if tables:
            for one, _ in together:
                yield from table_inputs(open_source(one.word, streaming=True), modality, column, usual, one.word)
        else:
            yield Inputs(
                [item for one, known in together for item in (_examples(one, modality) if known is None else known)]
            )


def table_inputs(
    tables: Tables | Path, modality: Modality, column: str | None, usual: str = "", source: Any = None
) -> Iterator[Inputs]:
    """The rows of tables, some at a time. column, usual: as `named_inputs` takes them. source: what was named.

    Raises `DataError` for a table whose column is of another modality, `UsageError` for a column that does not exist.
    """
    assert isinstance(tables, Tables), "a table, which was looked at"
    chosen: Columns | None = None
    done = 0
    for split in tables.splits:
        for table in cut_tables(tables, split):
            if chosen is None:
                asked = column or (usual if usual in table.column_names else None)
                chosen = Columns.of(table, tables.name, asked, (), None, base=tables.base, wanted=modality.name)
                if chosen.modality.name != modality.name:
                    name = tables.name if source is None else Path(str(source)).name
                    raise DataError(
                        f"The {chosen.place} of '{name}' holds {chosen.modality.name}, and this run reads "
                        f"{modality.name}.",
                        "Name another: --input COLUMN",
                    )
            listing = chosen.list({split: table}, tables.name, tables.base, tables.path_guard, ())
            listing = replace(copies.with_files(listing, source), begin=done)
            yield Inputs(Raws.of(listing), as_text(table))
            done += len(table)


@dataclass(frozen=True)
class _Named:
    """A word, and the path that it names: of what was fetched or unpacked, if it was. part: of a file, as `locate`
    gives it."""

    word: str
    path: Path
    part: str = ""
    copied: bool = False

    def labelled(self, modality: Modality) -> Sequence[Any] | None:
        """The examples of label files, of which a table may be one; None for anything else, and for texts and files
        that the modality reads."""
        path = self.path
        folder = os.path.isdir(path)  # noqa: PTH112  pathlib's raises for a word as long as a text
        if self.part or not (folder or (os.path.isfile(path) and path.suffix.lower() not in modality.extensions)):  # noqa: PTH113
            return None
        return label_files.inputs_in(path, modality)

    def is_table(self, modality: Modality) -> bool:
        suffix = self.path.suffix.lower()
        known = bool(self.part) or (bool(ending(self.path)) and suffix not in modality.extensions)
        return known and os.path.isfile(self.path)  # noqa: PTH113  pathlib's raises for a word as long as a text


def names_table(word: str, modality: Modality) -> bool:
    """Whether a word names a table that is there, and that the modality does not read as one example."""
    return _Named(word, *locate(word)).is_table(modality)


def _located(word: str, modality: Modality) -> _Named:
    """Raises `UsageError` for a word that looks like a file and names none."""
    if _is_fetched(word, modality):
        with copies.in_words():
            return _Named(word, copies.unpacked(copies.fetched(word)), copied=True)
    path, part = locate(word)
    if not os.path.exists(path):  # noqa: PTH110  as above
        if modality.inline and _looks_like_a_file(word, modality):
            raise UsageError(
                f"'{word}' does not exist; files, folders, tables and texts are accepted.",
                f"If it is a text, write: graftwork predict RUN --text {word}",
            )
        return _Named(word, path)
    unpacked = path if part else copies.unpacked(path)
    return _Named(word, unpacked, part, unpacked != path)


def _examples(one: _Named, modality: Modality) -> Iterator[Any]:
    """The examples that a word names; the word itself where it names one, or is a text."""
    if not os.path.isdir(one.path):  # noqa: PTH112  as above
        found = companions(one.path, modality) if one.copied else ()
        yield Raw(copies.shown(one.path), one.path, companions=found) if one.copied else one.word
        return
    found = examples_below(one.path, modality, trusted=not one.copied)
    if not found:
        raise DataError(f"The folder '{one.word}' is empty.", "Name a folder that holds files.")
    for path in found:
        yield Raw(copies.shown(path), path, companions=companions(path, modality)) if one.copied else str(path)


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
    path, part = locate(word)
    known = bool(ending(path)) or path.suffix.lower() in modality.extensions
    return bool(part) or (known and not any(sign.isspace() for sign in word.strip()))
