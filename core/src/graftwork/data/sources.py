"""Opening a data source: a folder of files, or tables in a file, in a `datasets` folder, on the hub, or in memory.

Nothing is read before it is asked for.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from graftwork.data.listing import SPLITS, readable
from graftwork.data.path_guard import PathGuard
from graftwork.data.tables import PIECE, SUFFIXES, read_pieces, read_table
from graftwork.data.walk import is_debris
from graftwork.errors import DataError
from graftwork.specs.weights import hub_unreachable, offline

FILE_COLUMN = "file_name"
"""The column of a metadata table that names files, as `datasets` writes it."""


class Tables(ABC):
    """Tables with the same columns, one for each split.

    base: the folder that relative paths in them start from. path_guard: where paths in them may lead; None for
    anywhere.
    """

    name: str
    base: Path
    path_guard: PathGuard | None
    splits: tuple[str, ...] = ("",)
    """The names of the splits; the empty name if the table has none."""

    @abstractmethod
    def whole(self) -> dict[str, pa.Table]:
        """The whole table of each split, undecoded."""

    @abstractmethod
    def pieces(self, split: str) -> Iterator[pa.Table]:
        """Yield the rows of one split, some at a time."""


class File(Tables):
    def __init__(self, path: Path, path_guard: PathGuard | None) -> None:
        self.path, self.name, self.base, self.path_guard = path, path.stem, path.parent, path_guard

    def whole(self) -> dict[str, pa.Table]:
        return {"": read_table(self.path)}

    def pieces(self, split: str) -> Iterator[pa.Table]:
        return read_pieces(self.path)


class Folder(Tables):
    """A folder with a table per split: train.csv and test.csv, or train/metadata.csv beside the files that it names."""

    def __init__(self, root: Path, files: Mapping[str, Path], path_guard: PathGuard | None) -> None:
        self._root, self._files = root, dict(files)
        self.name, self.base, self.path_guard, self.splits = root.resolve().name, root, path_guard, tuple(files)

    @classmethod
    def of(cls, root: Path, allow_outside: bool) -> Folder | None:
        """The tables of a folder, or None if it holds no such tables, or others beside them.

        Raises `DataError` for tables with different columns, or two for the same split.
        """
        entries = [path for path in sorted(root.iterdir()) if not is_debris(path)]
        found = [(path.stem.lower(), path) for path in entries if path.suffix.lower() in SUFFIXES]
        if len(found) < len(entries) or not all(word in SPLITS for word, _ in found):
            places = [("", root), *((path.name.lower(), path) for path in entries if path.is_dir())]
            found = [(word, path) for word, place in places for path in _metadata(place)]
        if not found or not all(word == "" or word in SPLITS for word, _ in found):
            return None
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
        return cls(root, files, None if allow_outside else PathGuard(root.name, root))

    def whole(self) -> dict[str, pa.Table]:
        return {split: self._placed(split, read_table(path)) for split, path in self._files.items()}

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


class DataSet(Tables):
    """A loaded `datasets` object: one set, or one per split, each a `Dataset` or an `IterableDataset`."""

    def __init__(self, loaded: Any, name: str, base: Path = Path(), path_guard: PathGuard | None = None) -> None:
        parts = loaded if isinstance(loaded, Mapping) else {"": loaded}
        self._parts = {str(split): part for split, part in parts.items()}
        self.name, self.base, self.path_guard, self.splits = name, base, path_guard, tuple(self._parts)

    def whole(self) -> dict[str, pa.Table]:
        for part in self._parts.values():
            if not hasattr(part, "__len__"):
                raise DataError(
                    f"{self.name} is an IterableDataset, which is read in a stream.", "Write: graftwork.stream(...)"
                )
        return {split: part.with_format("arrow")[:] for split, part in self._parts.items()}

    def pieces(self, split: str) -> Iterator[pa.Table]:
        part = self._parts[split]
        described = part.features.arrow_schema.metadata if part.features else None
        tables = part.with_format("arrow").iter(batch_size=PIECE)
        while True:
            try:
                table = next(tables, None)
            except Exception as error:  # the library raises its own and its transport's families
                raise _not_loaded(self.name, error) from error
            if table is None:
                return
            yield table.replace_schema_metadata(described) if described else table


def open_source(source: Any, *, streaming: bool = False, allow_outside: bool = False) -> Tables | Path:
    """The tables that `source` names or is; for a folder of label folders, its path.

    streaming: fetch no more of a set on the hub than is read. allow_outside: paths in files may lead anywhere; those in
    an object always may.

    Raises `DataError` if nothing is there, or it is neither a table nor a folder.
    """
    if hasattr(source, "with_format"):
        return DataSet(source, "the data set")
    words = str(os.fspath(source))
    if words.startswith("hub:"):
        reason = "--offline forbids fetching it" if offline() else hub_unreachable()
        if reason:
            raise DataError(
                f"The data set '{words[4:]}' is on the hub, which cannot be reached ({reason}).",
                "Save it to disk first.",
            )
        loaded, kept = _loaded(words[4:], hub=True, streaming=streaming), _kept()
        return DataSet(loaded, words, kept[0], None if allow_outside else PathGuard(words, *kept))
    from graftwork.data import archives, remote, shards  # shards are tables of this module

    if (found := shards.streamed(words) if streaming else None) or (found := shards.named(words)):
        return found
    path = remote.fetched(words)
    if found := shards.at(path):
        return found
    path = remote.unpacked(path)
    if not path.exists():
        raise DataError(
            f"'{words}' does not exist; a folder, a table, an archive, an address or hub:NAME is accepted.",
            "See: graftwork fit --help",
        )
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(
                f"'{remote.shown(path)}' ends in '{path.suffix}'; tables end in {', '.join(SUFFIXES)}, archives in "
                f"{', '.join(archives.ENDINGS)}.",
                "Give a table, or a folder with one folder per label.",
            )
        return File(path, None if allow_outside else PathGuard(path.stem, path.parent))
    if any((path / name).is_file() for name in ("dataset_dict.json", "dataset_info.json", "state.json")):
        return _saved(path, None if allow_outside else PathGuard(path.name, path))
    return Folder.of(path, allow_outside) or path


def _metadata(folder: Path) -> Iterator[Path]:
    """The tables of a folder that name its files."""
    for path in (folder / f"metadata{suffix}" for suffix in SUFFIXES):
        if path.is_file() and FILE_COLUMN in _columns(path):
            yield path


def _columns(path: Path) -> list[str]:
    return next(read_pieces(path), pa.table({})).column_names


def _check_columns(paths: Sequence[Path]) -> None:
    """Raises `DataError` for tables with different columns."""
    first, *others = ((path, _columns(path)) for path in paths)
    for path, columns in others:
        if set(columns) != set(first[1]):
            raise DataError(
                f"'{path}' has the columns {', '.join(columns)}, and '{first[0]}' {', '.join(first[1])}.",
                "Give both the same columns, or name one of the tables instead of the folder.",
            )


def _saved(path: Path, path_guard: PathGuard | None) -> DataSet:
    """A `datasets` folder. Its JSON files name the files that hold its rows, so these paths are guarded too."""
    loaded = _loaded(str(path), hub=False)
    parts = loaded.values() if isinstance(loaded, Mapping) else [loaded]
    if path_guard is not None:
        for name in (file["filename"] for part in parts for file in part.cache_files):
            path_guard.check(Path(name), "state.json", name)
    return DataSet(loaded, path.name, path, path_guard)


def _kept() -> tuple[Path, ...]:
    """The folders in which `datasets` keeps what it fetched from the hub."""
    from datasets import config
    from huggingface_hub import constants

    folders = (config.HF_DATASETS_CACHE, config.DOWNLOADED_DATASETS_PATH, config.EXTRACTED_DATASETS_PATH)
    return tuple(Path(folder) for folder in (*folders, constants.HF_HUB_CACHE))


def _loaded(source: str, *, hub: bool, streaming: bool = False) -> Any:
    import datasets

    try:
        return datasets.load_dataset(source, streaming=streaming) if hub else datasets.load_from_disk(source)
    except Exception as error:  # the library raises its own and its transport's families
        raise _not_loaded(source, error) from error


def _not_loaded(source: str, error: Exception) -> DataError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return DataError(f"'{source}' cannot be loaded as a data set: {reason[:200]}.", "See: graftwork fit --help")
