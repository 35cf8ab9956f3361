"""The input, label and split columns of a table, and the modality of its input."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from graftwork.data.annotation_cells import LabelColumn, holds_tags, holds_words, joined_words
from graftwork.data.cells import Column, cell_text, feature, folder_of, labels_of, placed_names, split_words
from graftwork.data.column_names import (
    SPLIT_COLUMN,
    input_column,
    input_names,
    listed,
    no_plain_label,
    plain_label,
    present,
)
from graftwork.data.formats.metadata import notes_of, text_is_bytes
from graftwork.data.label_files import KINDS
from graftwork.data.listing import Listing
from graftwork.data.modality_choice import modality_of_files, reader_hint, the_one
from graftwork.data.path_cells import looks_like_path, modality_of_paths
from graftwork.data.path_guard import PathGuard
from graftwork.errors import DataError, UsageError
from graftwork.plugins.loading import installed
from graftwork.plugins.registry import modalities
from graftwork.specs.contracts import plural
from graftwork.specs.modality import Modality
from graftwork.specs.splits import SPLITS
from graftwork.specs.task import RawLabel, TaskSpec


def list_tables(
    tables: Mapping[str, pa.Table],
    name: str,
    base: Path,
    path_guard: PathGuard | None,
    asked: str | None,
    label_columns: Sequence[str],
    labelled: bool | None,
    task: TaskSpec | None = None,
    wanted: str = "",
) -> Listing:
    """Choose the columns of one or more tables with the same columns (keyed by split, "" for none) and list their rows.

    wanted: the modality that reads what several may read.

    Raises `DataError` for tables without rows, and for columns that were not named and are not plain.
    """
    known = known_splits(tables, name)
    notes = [
        f"The split '{split}' ({plural(len(tables[split]), 'row')}) is left out; train, validation and test are used."
        for split in sorted(tables.keys() - set(known))
    ]
    tables = {split: tables[split] for split in known}
    if not any(len(table) for table in tables.values()):
        raise no_rows(name)
    first = next(iter(tables.values()))
    columns = Columns.of(first, name, asked, label_columns, labelled, task, base=base, wanted=wanted)
    return columns.list(tables, name, base, path_guard, tuple(notes))


def known_splits(splits: Iterable[str], name: str) -> list[str]:
    """The splits that are used; "" is none. Raises `DataError` if there are splits and none is used."""
    splits = list(splits)
    known = [split for split in splits if split == "" or split.lower() in SPLITS]
    if splits and not known:
        raise DataError(
            f"'{name}' brings the splits {listed(splits)}; accepted: {', '.join(SPLITS)}.", "Rename its splits."
        )
    return known


def no_rows(name: str) -> DataError:
    return DataError(f"'{name}' has no rows.", "Give a table with a header line and one example a line.")


@dataclass(frozen=True)
class Columns:
    """The columns in use, by name, for all tables of a source.

    place: the input column in words. labels: none, the column with the labels, or several columns whose cells together
    are the label. kind: of labels that lie in the input, see `TaskSpec.annotation`; empty for others. words: whether
    the cells of the input column are lists of words.
    """

    input: str
    labels: tuple[str, ...]
    split: str | None
    modality: Modality
    place: str
    kind: str = ""
    words: bool = False

    @classmethod
    def of(
        cls,
        table: pa.Table,
        name: str,
        asked: str | None,
        labels: Sequence[str],
        labelled: bool | None,
        task: TaskSpec | None = None,
        *,
        base: Path = Path(),
        wanted: str = "",
    ) -> Columns:
        """Choose the columns of a table.

        asked, labels: the input and label columns that the user named. labelled: whether a label is required; None
        takes one that is plain. task: of the labels, which may lie in the input; None where only inputs are read.
        base: the folder that paths in it start from. wanted: the modality that reads what several may read.

        Raises `DataError` if a column is not plain, `UsageError` if a named one does not exist.
        """
        columns = table.column_names
        if twice := sorted({column for column in columns if columns.count(column) > 1}):
            raise DataError(f"'{name}' has the column '{twice[0]}' more than once.", "Rename or remove one of them.")
        kind = task.annotation if task is not None else ""
        found = tuple(present(label, columns, name, "--label") for label in labels)
        if kind and len(found) > 1:
            raise UsageError(
                f"The labels are the columns {listed(found)} of '{name}'; one column of {KINDS[kind]} is accepted.",
                "Name one: --label COLUMN",
            )
        if not found and labelled is not False:
            plain = plain_label(columns, asked, kind)
            if plain is None and labelled:
                raise no_plain_label(columns, name)
            found = () if plain is None else (plain,)
        tagged = kind == "spans" and any(holds_tags(table, column) for column in found)
        chosen = input_column(columns, asked, found, name, input_names(table, kind, tagged))
        place = f"column '{chosen}'"
        others = (column for column in columns if column not in (chosen, *found))
        split = next((column for column in others if column.lower() == SPLIT_COLUMN), None)
        words = (kind == "spans" or task is None) and holds_words(table, chosen)
        if tagged and not words:
            raise DataError(
                f"The column {listed(found)} of '{name}' holds tags, and '{chosen}' no lists of words.",
                "Name the column of words: --input COLUMN",
            )
        if words:
            modality = _of_texts(f"the words in {place}", wanted)
        else:
            modality = _modality(table, chosen, place, base, wanted)
        return cls(chosen, found, split, modality, place, kind, words)

    def list(
        self,
        tables: Mapping[str, pa.Table],
        name: str,
        base: Path,
        path_guard: PathGuard | None,
        notes: tuple[str, ...],
    ) -> Listing:
        """The rows of tables with these columns, keyed by split.

        base, path_guard: see `Listing`.
        """
        inputs: Sequence[Any] = Column([table.column(self.input) for table in tables.values()])
        if self.words:
            inputs = [text for table in tables.values() for text in joined_words(table, self.input)]
        if self.modality.inline:
            notes = (*notes, *_of_paths(inputs, base, self.place))
        if text_is_bytes(next(iter(tables.values()))) and not self.modality.inline:
            inputs = [cell_text(cell) for cell in inputs]
        labels: list[RawLabel | None] = []
        splits: list[str] = []
        for split, table in tables.items():
            if self.labels and self.kind:
                labels += self._annotations(base, path_guard).labels(table, len(labels))
            elif self.labels:
                labels += labels_of(table, self.labels)
            if split:
                splits += [SPLITS[split.lower()]] * len(table)
            elif self.split is not None:
                splits += split_words(table, self.split, name)
        known = labels if self.labels else None
        said = [note for table in tables.values() for note in notes_of(table)]
        notes = (*notes, *dict.fromkeys(said))
        if not self.modality.inline:
            cells = {split: Column([table.column(self.input)]) for split, table in tables.items()}
            places = [folder_of(names, base, split) for split, names in cells.items()]
            if any(places):
                inputs = placed_names(inputs, places, [len(table) for table in tables.values()])
                below = ", ".join(f"'{place}'" for place in dict.fromkeys(places) if place)
                notes = (*notes, f"The file names of {self.place} are looked up in the folder {below}.")
        return Listing(
            name,
            self.place,
            self.modality,
            inputs,
            known,
            splits or None,
            base,
            notes,
            rows=True,
            input=self.input,
            label=self.labels,
            labels_place=f"column{'s' * (len(self.labels) > 1)} {listed(self.labels)}" if self.labels else "",
            path_guard=path_guard,
        )

    def _annotations(self, base: Path, path_guard: PathGuard | None) -> LabelColumn:
        words = self.input if self.words else ""
        return LabelColumn(self.labels[0], self.kind, base, path_guard, words, not self.modality.inline)


def _of_texts(what: str, wanted: str) -> Modality:
    """The modality that reads texts. Raises `DataError` if none does, `UsageError` if two do."""
    inline = the_one([modality for modality in modalities() if modality.inline], what, wanted)
    if inline is None:
        raise DataError(f"No installed plugin reads {what}{installed().disabled()}.", reader_hint("text"))
    return inline


def _modality(table: pa.Table, column: str, place: str, base: Path, wanted: str) -> Modality:
    stated = feature(table, column).get("_type", "")
    of_feature = [modality for modality in modalities() if stated in modality.features]
    if found := the_one(of_feature, f"the feature {stated} of {place}", wanted):
        return found
    kind = table.schema.field(column).type
    if pa.types.is_struct(kind):
        paths = [
            value["path"] or "" for value in table.column(column).slice(0, 100).to_pylist() if value and "path" in value
        ]
        return modality_of_files(paths, place, wanted)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or text_is_bytes(table)):
        raise DataError(f"The {place} holds {kind}; text or file paths are accepted.", "Name another: --input COLUMN")
    cells = map(cell_text, table.column(column).slice(0, 200).to_pylist())
    sample = [value.strip() for value in cells if value and value.strip()]
    found = modality_of_paths(sample, base, place, wanted)
    return found if found is not None else _of_texts(f"the text in {place}", wanted)


def _of_paths(cells: Sequence[Any], base: Path, place: str) -> list[str]:
    """A note where the cells of a column of texts look like paths.

    Raises `DataError` if they name files or folders, of which nobody would want the names learned.
    """
    words = [cell_text(cells[number]) for number in range(min(len(cells), 50))]
    names = [word.strip() for word in words if word and word.strip()]
    if names and all(_names_file(name, base) for name in names):
        raise DataError(
            f"The {place} names files ('{names[0]}'), whose names would be read as texts; texts, or files that a "
            "plugin reads by their ending, are accepted.",
            "Put the files into one folder per label, where those without an ending are looked into.",
        )
    if sum(map(looks_like_path, names)) > len(names) / 2:
        return [f"The {place} holds what look like paths ('{names[0]}'); they are read as texts."]
    return []


def _names_file(word: str, base: Path) -> bool:
    plausible = len(word) < 256 and not any(sign.isspace() for sign in word)
    return plausible and os.path.exists(base / word)  # noqa: PTH110  pathlib's raises for a null byte
