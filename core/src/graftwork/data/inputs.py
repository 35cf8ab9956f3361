"""What a user names to predict for: files, folders, tables and texts, some at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from graftwork.data.columns import Columns, as_text
from graftwork.data.folders import files_below
from graftwork.data.options import SourceOptions
from graftwork.data.reading import Raws, as_raw
from graftwork.data.sources import Tables, open_source
from graftwork.data.streaming import cut_tables
from graftwork.data.tables import ending, locate
from graftwork.errors import DataError, UsageError
from graftwork.specs.modality import Modality


@dataclass(frozen=True)
class Inputs:
    """Inputs that are answered together. rows: those of the table that they stand in, one each; None for others."""

    inputs: Sequence[Any]
    rows: pa.Table | None = None


def named_inputs(
    given: Iterable[str], modality: Modality, *, column: str | None = None, usual: str = "", texts: bool = False
) -> Iterator[Inputs]:
    """The inputs that words on a command line name, in order.

    A folder stands for the files in it and a table for its rows, unless the modality reads files of that ending itself.
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
    words = list(given)
    for word in words:
        _check_there(word, modality)
    for tables, together in groupby(words, lambda word: _is_table(word, modality)):
        if tables:
            for word in together:
                yield from table_inputs(open_source(word, streaming=True), modality, column, usual)
        else:
            yield Inputs([item for word in together for item in _files(word)])


def table_inputs(tables: Tables | Path, modality: Modality, column: str | None, usual: str = "") -> Iterator[Inputs]:
    """The rows of tables, some at a time. column, usual: as `named_inputs` takes them.

    Raises `DataError` for a table whose column is of another modality, `UsageError` for a column that does not exist.
    """
    assert isinstance(tables, Tables), "a table, which was looked at"
    options = SourceOptions(input=column, labelled=None)
    chosen: Columns | None = None
    done = 0
    for split in tables.splits:
        for table in cut_tables(tables, split):
            if chosen is None:
                asked = column or (usual if usual in table.column_names else None)
                chosen = Columns.of(table, tables.name, asked, options.label, options.labelled)
                if chosen.modality.name != modality.name:
                    raise DataError(
                        f"The {chosen.place} of '{tables.name}' holds {chosen.modality.name}, and this run reads "
                        f"{modality.name}.",
                        "Name another: --input COLUMN",
                    )
            listing = chosen.list({split: table}, tables.name, tables.base, tables.path_guard, ())
            raws = Raws(listing.inputs, listing.modality, listing.base, None, done, listing.path_guard)
            yield Inputs(raws, as_text(table))
            done += len(table)


def _is_table(word: str, modality: Modality) -> bool:
    path, part = locate(word)
    is_file = os.path.isfile(path)  # noqa: PTH113  pathlib's raises for a word as long as a text
    return is_file and bool(part or (ending(path) and path.suffix.lower() not in modality.extensions))


def _check_there(word: str, modality: Modality) -> None:
    if os.path.exists(locate(word)[0]):  # noqa: PTH110  as below
        return
    if modality.inline and _looks_like_a_file(word, modality):
        raise UsageError(
            f"'{word}' does not exist; files, folders, tables and texts are accepted.",
            f"If it is a text, write: graftwork predict RUN --text {word}",
        )


def _files(word: str) -> Iterator[str]:
    if not os.path.isdir(word):  # noqa: PTH112  as above
        yield word
        return
    files = files_below(Path(word))
    if not files:
        raise DataError(f"The folder '{word}' is empty.", "Name a folder that holds files.")
    yield from map(str, files)


def _looks_like_a_file(word: str, modality: Modality) -> bool:
    path, part = locate(word)
    known = bool(ending(path)) or path.suffix.lower() in modality.extensions
    return bool(part) or (known and not any(sign.isspace() for sign in word.strip()))
