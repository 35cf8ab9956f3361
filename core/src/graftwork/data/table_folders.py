"""Folders with tables in them: one per split (train.csv, test.csv), or train/metadata.csv beside the files it names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from graftwork.data.formats.tables import DATABASES, SUFFIXES, ending, read_pieces, read_table, stem
from graftwork.data.labels import readable
from graftwork.data.modality_choice import by_extension
from graftwork.data.options import SourceOptions
from graftwork.data.path_guard import PathGuard
from graftwork.data.sources import Tables
from graftwork.data.walk import Walk, is_debris, shown
from graftwork.errors import DataError
from graftwork.plugins.registry import modalities
from graftwork.specs.splits import SPLITS

FILE_COLUMN = "file_name"
"""The column of a metadata table that names files, as `datasets` writes it."""
SAMPLE_ROWS = 20
"""By how many rows it is judged whether a table names files."""


class TableFolder(Tables):
    """A folder with a table per split, or one table.

    files: the tables by split. named: whether they name files in `FILE_COLUMN`, relative to themselves. others: the
    files of the folder that are no tables.
    """

    def __init__(
        self, root: Path, layout: str, files: Mapping[str, Path], walked: Walk, *, named: bool, allow_outside: bool
    ) -> None:
        self._root, self._files, self._named = root, dict(files), named
        self._others = [path for path in walked.files if path not in files.values()]
        self.name, self.base, self.layout, self.splits = root.resolve().name, root, layout, tuple(files)
        self.path_guard = None if allow_outside else PathGuard(root.name, root)
        self.notes = walked.notes

    @classmethod
    def of_metadata(cls, root: Path, walked: Walk, options: SourceOptions) -> TableFolder | None:
        """The tables called metadata, in the folder or in that of each split. None if there is none that names files.

        Raises `DataError` for tables with different columns, or two for the same split.
        """
        folders = [path for path in sorted(root.iterdir()) if path.is_dir() and path.name.lower() in SPLITS]
        places = [("", root), *((path.name.lower(), path) for path in folders)]
        found = [(word, path) for word, place in places for path in _metadata(place)]
        if not found:
            return None
        return cls(
            root, "metadata", _by_split(root, found), walked, named=True, allow_outside=options.allow_outside
        )  # fmt: skip

    @classmethod
    def of_splits(cls, root: Path, walked: Walk, options: SourceOptions) -> TableFolder | None:
        """The tables called by splits; or the only table, if it is alone or names files. None if there is none.

        Raises as `of_metadata` does.
        """
        tables = tables_in(root)
        found = [(word, path) for path in tables if (word := stem(path).lower()) in SPLITS]
        if not any(SPLITS[word] == "train" for word, _ in found) and len(found) < len(walked.files):
            alone = len(tables) == 1 and (len(walked.files) == 1 or _names_files(tables[0]))
            found = [("", tables[0])] if alone and tables[0].stem != "metadata" else []
        if not found:
            return None
        return cls(root, "tables", _by_split(root, found), walked, named=False, allow_outside=options.allow_outside)

    def whole(self) -> dict[str, pa.Table]:
        tables = {split: self._placed(split, read_table(path)) for split, path in self._files.items()}
        if self._named:
            names = (name for table in tables.values() for name in table[FILE_COLUMN].to_pylist())
            used = {str(self._root / readable(name)) for name in names if name}
            lone = (path for path in self._others if str(path) not in used)
            left = [str(path.relative_to(self._root)) for path in lone if not any(str(p) in used for p in path.parents)]
            if left:
                self.notes = (*self.notes, f"Left out: files that no table names ({shown(left)}), {len(left)} in all.")
        return tables

    def pieces(self, split: str) -> Iterator[pa.Table]:
        for piece in read_pieces(self._files[split]):
            yield self._placed(split, piece)

    def _placed(self, split: str, table: pa.Table) -> pa.Table:
        """The table with its file names as seen from the folder."""
        below = self._files[split].parent.relative_to(self._root)
        if FILE_COLUMN not in table.column_names or below == Path():
            return table
        names = [None if name is None else str(below / readable(name)) for name in table[FILE_COLUMN].to_pylist()]
        return table.set_column(table.column_names.index(FILE_COLUMN), FILE_COLUMN, pa.array(names, pa.string()))


def tables_in(root: Path) -> list[Path]:
    """The tables right in a folder, sorted by name."""
    return [
        path
        for path in sorted(root.iterdir())
        if path.is_file() and ending(path) not in ("", *DATABASES) and not is_debris(path)
    ]


def _by_split(root: Path, found: Sequence[tuple[str, Path]]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for word, path in found:
        split = SPLITS.get(word, "")
        if split in files or (split and "" in files):
            raise DataError(
                f"'{root}' holds two tables for the same examples: '{files.get(split) or files['']}' and '{path}'.",
                "Remove one of them.",
            )
        files[split] = path
    _check_columns(list(files.values()))
    return files


def _metadata(folder: Path) -> Iterator[Path]:
    """The tables of a folder that name its files."""
    for path in (folder / f"metadata{suffix}" for suffix in SUFFIXES):
        if path.is_file() and FILE_COLUMN in _head(path).column_names:
            yield path


def _names_files(path: Path) -> bool:
    """Whether most of the first cells of a column end as files of an installed plugin do, or name folders where one
    reads these; what is no table has none."""
    known = {kind for kind, modality in by_extension().items() if not modality.inline}
    folders = any(modality.folders for modality in modalities())
    try:
        head = _head(path).slice(0, SAMPLE_ROWS)
    except DataError:
        return False
    for column in head.columns:
        cells = [str(cell) for cell in column.to_pylist() if cell is not None]
        named = (Path(cell).suffix.lower() in known or (folders and _is_folder(path.parent / cell)) for cell in cells)
        if sum(named) > len(cells) / 2:
            return True
    return False


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112  pathlib's raises for a very long one


def _head(path: Path) -> pa.Table:
    return next(read_pieces(path), pa.table({}))


def _check_columns(paths: Sequence[Path]) -> None:
    """Raises `DataError` for tables with different columns."""
    first, *others = ((path, _head(path).column_names) for path in paths)
    for path, columns in others:
        if set(columns) != set(first[1]):
            raise DataError(
                f"'{path}' has the columns {', '.join(columns)}, and '{first[0]}' {', '.join(first[1])}.",
                "Give both the same columns, or name one of the tables instead of the folder.",
            )
