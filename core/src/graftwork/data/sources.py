"""Opening a data source: a folder of files, or tables in a file, in a `datasets` folder, on the hub, or in memory.

Nothing is read before it is asked for.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from graftwork.data.formats.frames import as_table, rows_of
from graftwork.data.formats.plain_text import COMPRESSED
from graftwork.data.formats.tables import PIECE, SUFFIXES, ending, locate, read_pieces, read_table, stem
from graftwork.data.path_guard import PathGuard
from graftwork.errors import DataError
from graftwork.specs.limits import limits
from graftwork.specs.plain_files import special
from graftwork.specs.readers import Raw
from graftwork.specs.signatures import recognise
from graftwork.specs.weights import hub_unreachable, offline


class Tables(ABC):
    """Tables with the same columns, one for each split.

    base: the folder that relative paths in them start from. path_guard: where paths in them may lead; None for
    anywhere.
    """

    name: str
    base: Path
    path_guard: PathGuard | None
    layout: str = "table"
    splits: tuple[str, ...] = ("",)
    """The names of the splits; the empty name if the table has none."""
    notes: tuple[str, ...] = ()
    """Sentences about what was left out, once `whole` was called."""

    @abstractmethod
    def whole(self) -> dict[str, pa.Table]:
        """The whole table of each split, undecoded."""

    @abstractmethod
    def pieces(self, split: str) -> Iterator[pa.Table]:
        """Yield the rows of one split, some at a time."""


class File(Tables):
    """A table in a file. part: the sheet, table or query of a file that holds several."""

    def __init__(self, path: Path, part: str, path_guard: PathGuard | None) -> None:
        self.path, self.part, self.base, self.path_guard = path, part, path.parent, path_guard
        self.name = stem(path)

    def whole(self) -> dict[str, pa.Table]:
        return {"": read_table(self.path, self.part)}

    def pieces(self, split: str) -> Iterator[pa.Table]:
        return read_pieces(self.path, self.part)


class Frame(Tables):
    """A table in memory, or rows that a function gives from the start. Paths in it are the caller's own."""

    def __init__(self, table: pa.Table | None, rows: Callable[[], Iterator[pa.Table]] | None = None) -> None:
        self._table, self._rows = table, rows
        self.name, self.base, self.path_guard = "the table" if rows is None else "the stream", Path(), None

    def whole(self) -> dict[str, pa.Table]:
        if self._table is None:
            raise DataError("Rows that are made as they are read are a stream.", "Write: graftwork.stream(...)")
        return {"": self._table}

    def pieces(self, split: str) -> Iterator[pa.Table]:
        if self._rows is not None:
            return self._rows()
        table = self._table if self._table is not None else pa.table({})
        return (table.slice(at, PIECE) for at in range(0, len(table), PIECE))


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


def is_table(source: Any) -> bool:
    """Whether an object in memory holds rows with named columns: a DataFrame, an Arrow table, a `datasets.Dataset`."""
    return hasattr(source, "with_format") or hasattr(source, "columns")


def open_source(source: Any, *, streaming: bool = False, allow_outside: bool = False) -> Tables | Path:
    """The tables that `source` names or is; for a folder, its path.

    streaming: fetch no more of a set on the hub than is read. allow_outside: paths in files may lead anywhere; those in
    an object always may.

    Raises `DataError` if nothing is there, or it is neither a table nor a folder.
    """
    found = find_source(source, streaming=streaming, allow_outside=allow_outside)
    return open_path(found, allow_outside=allow_outside) if isinstance(found, Path) else found


def find_source(source: Any, *, streaming: bool = False, allow_outside: bool = False) -> Tables | Path:
    """As `open_source` does, but a file is not looked into yet."""
    limits()  # what the user set wrongly is said before anything is read
    if hasattr(source, "with_format"):
        return DataSet(source, "the data set")
    if not isinstance(source, str | os.PathLike):
        table = as_table(source)
        rows = rows_of(source) if table is None else None
        if table is None and rows is None:
            raise DataError(
                f"{type(source).__name__} is no data; a folder, a table, hub:NAME, a DataFrame, an Arrow table, a list "
                "of dicts and a datasets.Dataset are accepted.",
                "See: graftwork fit --help",
            )
        return Frame(table, rows)
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
    from graftwork.data.remote import copies, shards  # shards are tables of this module

    if (found := shards.streamed(words) if streaming else None) or (found := shards.named(words)):
        return found
    path, part = locate(words)
    _check_no_special(path)
    if part and path.is_file():
        _check_no_stand_in(path)
        return File(path, part, None if allow_outside else PathGuard(path.stem, path.parent))
    if not part:
        path = copies.fetched(words)
        if found := shards.at(path):
            return found
        path = copies.unpacked(path)
    if not path.exists():
        raise DataError(
            f"'{words}' does not exist; a folder, a table, an archive, an address or hub:NAME is accepted.",
            "See: graftwork fit --help",
        )
    return path


def open_path(path: Path, *, allow_outside: bool = False, formats: Sequence[str] = ()) -> Tables | Path:
    """The table that a file is, or that a folder holds as `datasets` saves it; another folder as it is. formats: of
    label files that are read besides, by name.

    Raises `DataError` for a file that is no table.
    """
    from graftwork.data.remote import archives, copies

    if path.is_file():
        _check_no_stand_in(path)
        if not ending(path):
            labels = f", label files are {', '.join(formats)}" if formats else ""
            raise DataError(
                f"'{copies.shown(path)}' ends in '{path.suffix}'; tables end in {', '.join(SUFFIXES)}, text also in "
                f"{', '.join(COMPRESSED)}, archives in {', '.join(archives.ENDINGS)}{labels}.",
                "Give a table, or a folder with one folder per label.",
            )
        return File(path, "", None if allow_outside else PathGuard(path.stem, path.parent))
    if any((path / name).is_file() for name in ("dataset_dict.json", "dataset_info.json", "state.json")):
        return _saved(path, None if allow_outside else PathGuard(path.name, path))
    return path


def _check_no_special(path: Path) -> None:
    """Raises `DataError` for a pipe, a device or a socket in place of a folder or a file."""
    try:
        noun = special(path.stat().st_mode)
    except (OSError, ValueError):  # nothing is there, or it is fetched
        return
    if noun:
        raise DataError(
            f"'{path}' is {noun}, which is never opened as data; a folder or a plain file is accepted.",
            "Write what comes out of it to a file, and name that.",
        )


def _check_no_stand_in(path: Path) -> None:
    """Raises `DataError` for what lies in place of a table: a Git LFS pointer, a server's page, zero bytes."""
    found = recognise(Raw(str(path), path))
    if found and (found.kind == "stand-in" or found.ending == ".html"):
        raise found.instead_of(str(path), "a table")


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
