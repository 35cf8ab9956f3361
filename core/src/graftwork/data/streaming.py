"""Data that are read once from front to end, in chunks, and are never in memory as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from graftwork.data import layouts
from graftwork.data.columns import Columns, known_splits, no_rows
from graftwork.data.labels import NO_RULES, LabelRules
from graftwork.data.listing import Listing
from graftwork.data.options import SourceOptions
from graftwork.data.reading import Data, check_modality, observe
from graftwork.data.remote import copies
from graftwork.data.sources import Tables
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

    def __init__(self, name: str, listings: Callable[[], Iterator[Listing]], rules: LabelRules = NO_RULES) -> None:
        self.name, self.rules = name, rules
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
    layout: str = "",
    label_map: Mapping[str, str] | str | Path | None = None,
    drop_label: str | Sequence[str] | None = None,
    allow_outside: bool = False,
    modality: str = "",
) -> Stream:
    """Data that need not fit in memory or on the disk, in chunks. Sets on the hub are fetched as they are read.

    source: as `graftwork.data` takes it, a `datasets.IterableDataset`, or a function that yields dicts. The other
    arguments are as it takes them; the first rows decide the columns.

    Raises `DataError` if there is nothing to use, `UsageError` for a column that does not exist.
    """
    return open_stream(
        source,
        SourceOptions.of(
            input=input, label=label, labelled=labelled, task=task, layout=layout, label_map=label_map,
            drop_label=drop_label, allow_outside=allow_outside, modality=modality,
        ),
    )  # fmt: skip


def open_stream(source: Any, options: SourceOptions) -> Stream:
    """The stream of a source. Raises as `stream` does."""
    with copies.in_words():
        found = layouts.open_data(source, options, streaming=True)
    if isinstance(found, Listing):
        listing = found
        return Stream(listing.name, lambda: _named(_cut(listing), options), options.rules)
    splits = known_splits(found.splits, found.name)
    left_out = sorted(set(found.splits) - set(splits))
    notes = (
        *found.notes,
        *(f"The split '{split}' is left out; train, validation and test are used." for split in left_out),
    )
    columns: list[Columns] = []
    tables, layout = found, found.layout

    def listings() -> Iterator[Listing]:
        for split in splits:
            for table in cut_tables(tables, split):
                if not columns:
                    columns.append(
                        Columns.of(
                            table,
                            found.name,
                            *options.columns(table.column_names),
                            options.labelled,
                            options.spec,
                            base=found.base,
                            wanted=options.wanted,
                        )
                    )
                listing = columns[0].list({split: table}, found.name, found.base, found.path_guard, notes)
                listing = copies.with_files(copies.as_named(listing, found.base), source)
                yield replace(listing, layout=layout)

    return Stream(found.name, lambda: _named(listings(), options), options.rules)


def _named(listings: Iterator[Listing], options: SourceOptions) -> Iterator[Listing]:
    """The listings with each label under its name, and with notes on those that are new."""
    names = options.names()
    for listing in listings:
        check_modality(options, listing)
        found = listing.named(names)
        yield replace(found, notes=(*found.notes, *names.notes()))
    if options.strict:
        names.check_used()


def cut_tables(tables: Tables, split: str) -> Iterator[pa.Table]:
    """The rows of one split in chunks of at most `MOST_ROWS` rows, and about `MOST_BYTES` bytes."""
    taken: list[pa.Table] = []
    for piece in tables.pieces(split):
        for start in range(0, len(piece), MOST_ROWS):
            taken.append(piece.slice(start, MOST_ROWS))
            if sum(map(len, taken)) >= MOST_ROWS or sum(part.nbytes for part in taken) >= MOST_BYTES:
                yield _joined(taken)
                taken = []
    if taken:
        yield _joined(taken)


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    """One table; a column that was missing or blank in one of them takes the type that it has in another."""
    return pa.concat_tables(tables, promote_options="permissive")


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
