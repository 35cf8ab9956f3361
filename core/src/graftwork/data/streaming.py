"""Data that are read once from front to end, in chunks, and are never in memory as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from graftwork.data import folders, remote
from graftwork.data.columns import Columns, known_splits, no_rows
from graftwork.data.listing import Listing
from graftwork.data.reading import Data, check_no_columns, named, observe
from graftwork.data.sources import Tables, open_source
from graftwork.plugins import registry
from graftwork.runtime.parallel import prefetch
from graftwork.specs.modality import Modality
from graftwork.specs.task import DEFAULT_TASK

MOST_ROWS, MOST_BYTES = 4096, 64 * 2**20
"""A chunk ends when it has this many rows, or this many bytes."""


class Stream:
    """Data in chunks that are read on demand; the next one is read while the last one is worked on.

    head: the first chunk. Each call of `chunks` reads from the start.
    """

    max_left_out: ClassVar[float] = 0.5
    """The fraction of `head` that may not fit an encoder. For the whole, the limit is that of `Data`, checked at the
    end.
    """

    def __init__(self, name: str, listings: Callable[[], Iterator[Listing]]) -> None:
        self.name = name
        self._listings = listings
        first = next(listings(), None)
        if first is None:
            raise no_rows(name)
        self.head: Data = observe(first)

    @property
    def modality(self) -> Modality:
        return self.head.modality

    def chunks(self) -> Iterator[Data]:
        """Yield each chunk, its headers read; a chunk may hold no usable example."""

        def observed() -> Iterator[Data]:
            begin = 0
            for listing in self._listings():
                yield observe(replace(listing, begin=begin), chunk=True)
                begin += len(listing.inputs)

        return prefetch(observed())


def stream(
    source: Any,
    *,
    input: str | None = None,
    label: str | Sequence[str] | None = None,
    labelled: bool = True,
    task: str = DEFAULT_TASK,
    allow_outside: bool = False,
) -> Stream:
    """Data that need not fit in memory or on the disk, in chunks. Sets on the hub are fetched as they are read.

    source: as `graftwork.data` takes it, or a `datasets.IterableDataset`.
    input, label, labelled, task, allow_outside: as `graftwork.data` takes them; the first rows decide the columns.

    Raises `DataError` if there is nothing to use, `UsageError` for a column that does not exist.
    """
    labels, blank_is_label = named(label), registry.task(task).blank_is_label
    with remote.in_words():
        found = open_source(source, streaming=True, allow_outside=allow_outside)
    if isinstance(found, Path):
        with remote.in_words():
            check_no_columns(found, input, *labels)
            listing = remote.as_named(folders.list_folder(found, labelled=labelled), found)
        return Stream(listing.name, lambda: _cut(listing))
    splits = known_splits(found.splits, found.name)
    left_out = sorted(set(found.splits) - set(splits))
    notes = tuple(f"The split '{split}' is left out; train, validation and test are used." for split in left_out)
    columns: list[Columns] = []

    def listings() -> Iterator[Listing]:
        for split in splits:
            for table in _chunks(found, split):
                if not columns:
                    columns.append(Columns.of(table, found.name, input, labels, labelled))
                listing = columns[0].list(
                    {split: table}, found.name, found.base, found.path_guard, notes, blank_is_label
                )
                yield remote.with_files(remote.as_named(listing, found.base), source)

    return Stream(found.name, listings)


def _chunks(tables: Tables, split: str) -> Iterator[pa.Table]:
    taken: list[pa.Table] = []
    for piece in tables.pieces(split):
        for start in range(0, len(piece), MOST_ROWS):
            taken.append(piece.slice(start, MOST_ROWS))
            if sum(map(len, taken)) >= MOST_ROWS or sum(part.nbytes for part in taken) >= MOST_BYTES:
                yield pa.concat_tables(taken)
                taken = []
    if taken:
        yield pa.concat_tables(taken)


def _cut(listing: Listing) -> Iterator[Listing]:
    for start in range(0, len(listing.inputs), MOST_ROWS):
        here = slice(start, start + MOST_ROWS)
        labels, splits = listing.labels, listing.splits
        yield replace(
            listing,
            inputs=listing.inputs[here],
            labels=None if labels is None else labels[here],
            splits=None if splits is None else splits[here],
        )
