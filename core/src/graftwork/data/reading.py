"""Labelled data as the rest sees it: what they are, which examples can be used, and which cannot and why."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, overload

from graftwork.data.listing import Listing, readable
from graftwork.data.path_guard import PathGuard
from graftwork.errors import DataError, Empty, Unreadable, UsageError
from graftwork.plugins import registry
from graftwork.runtime.parallel import prefetch_map
from graftwork.runtime.progress import track
from graftwork.specs.agreement import Agreement
from graftwork.specs.contracts import ObservedInput, Value
from graftwork.specs.factories import load_factory
from graftwork.specs.modality import Modality
from graftwork.specs.readers import Raw, Reader
from graftwork.specs.task import DEFAULT_TASK, RawLabel

MOST_BAD = 0.05
"""The part of the data that may be left out as unreadable before a fit is refused."""

CHUNK = 64
"""How many examples a thread reads at a time."""


@dataclass(frozen=True)
class Bad:
    """An example that cannot be used, why, in one sentence, and its kind: "unreadable", "empty" or "unlabelled"."""

    name: str
    reason: str
    kind: str = "unreadable"


@dataclass(frozen=True)
class Data:
    """Labelled (or unlabelled) data whose headers have been read.

    raws, labels and splits run in step; labels or splits are None where the source has none.
    observed: what the readable examples are. bad: those that cannot be read, left out of `raws`.
    notes: what else of the source is not here, a sentence each.
    """

    name: str
    modality: Modality
    raws: Raws
    labels: Sequence[RawLabel] | None
    splits: Sequence[str] | None
    observed: ObservedInput
    bad: Sequence[Bad]
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.raws)

    def only(self, split: str) -> Data:
        """The examples of a split; all of them where the data bring none of it."""
        chosen = [i for i, word in enumerate(self.splits or ()) if word == split]
        if not chosen:
            return self
        numbers = [self.raws.numbers[i] for i in chosen]
        labels = None if self.labels is None else [self.labels[i] for i in chosen]
        return replace(self, raws=self.raws.at(numbers), labels=labels, splits=[split] * len(chosen))

    max_left_out: ClassVar[float] = MOST_BAD
    """The part of `head` that may not fit an encoder."""

    @property
    def head(self) -> Data:
        """What of the data is looked at before the rest, which for data at hand is all."""
        return self

    def chunks(self) -> Iterator[Data]:
        """The data in parts that follow each other: one."""
        yield self


def data(
    source: Any,
    *,
    input: str | None = None,
    label: str | Sequence[str] | None = None,
    labelled: bool = True,
    task: str = DEFAULT_TASK,
    allow_outside: bool = False,
) -> Data:
    """Read what `source` is: a folder with one per label, a CSV, TSV, JSONL or Parquet table of texts or file paths, a
    `datasets` folder saved to disk, `hub:NAME`, or a `datasets.Dataset`.

    input, label: the columns of a table, found by themselves when plain; several label columns are labels of one
    example (0 or 1 each, or a value each). labelled=False does not ask for a label. task: what labels are for, by which
    a blank cell is a missing label or one of which nothing is there.
    allow_outside: paths that stand in a table may lead outside of its folder.
    Only headers are read; an unreadable example is listed in `bad`, never dropped in silence.

    Raises `DataError` when there is nothing to use or a path leads outside, `UsageError` for a column that does not
    exist.
    """
    return observe(list_source(source, input, label, labelled, task=task, allow_outside=allow_outside))


def list_source(
    source: Any,
    input_column: str | None = None,
    label_columns: str | Sequence[str] | None = None,
    labelled: bool | None = True,
    *,
    task: str = DEFAULT_TASK,
    allow_outside: bool = False,
) -> Listing:
    """What `source` holds, nothing of it read yet; labelled=None takes labels where they are plain."""
    from graftwork.data import folders, sources
    from graftwork.data.columns import list_tables

    labels, blank_is_label = named(label_columns), registry.task(task).blank_is_label
    found = sources.open_source(source, allow_outside=allow_outside)
    if not isinstance(found, Path):
        return list_tables(
            found.whole(), found.name, found.base, found.path_guard, input_column, labels, labelled, blank_is_label
        )
    check_no_columns(found, input_column, *labels)
    return folders.list_folder(found, labelled=labelled)


def named(columns: str | Sequence[str] | None) -> tuple[str, ...]:
    """The columns that a user named: none, one, or several."""
    if columns is None:
        return ()
    return (columns,) if isinstance(columns, str) else tuple(columns)


def check_no_columns(folder: Path, *columns: str | None) -> None:
    """Raises `UsageError` where columns of a folder of files are named."""
    if any(columns):
        raise UsageError(f"'{folder}' is a folder of files, which has no columns.", "Leave out --input and --label.")


class Raws(Sequence[Raw]):
    """The examples of a listing, each made when it is asked for, so that a large table costs no object per row.

    numbers: where each of them stands in the listing; begin: how many came before that. path_guard: where paths among
    the inputs may lead, see `Listing`; asked each time that one becomes a file.
    """

    def __init__(
        self,
        inputs: Sequence[Any],
        modality: Modality,
        base: Path,
        numbers: Sequence[int] | None = None,
        begin: int = 0,
        path_guard: PathGuard | None = None,
    ) -> None:
        self._inputs, self._modality, self._base, self._begin, self._path_guard = (
            inputs,
            modality,
            base,
            begin,
            path_guard,
        )
        self.numbers: Sequence[int] = range(len(inputs)) if numbers is None else numbers

    @classmethod
    def of(cls, listing: Listing, numbers: Sequence[int] | None = None) -> Raws:
        """What is listed, or what of it stands at these places."""
        return cls(listing.inputs, listing.modality, listing.base, numbers, listing.begin, listing.path_guard)

    def __len__(self) -> int:
        return len(self.numbers)

    def at(self, numbers: Sequence[int]) -> Raws:
        """Those that stand at these places of the listing."""
        return Raws(self._inputs, self._modality, self._base, numbers, self._begin, self._path_guard)

    @overload
    def __getitem__(self, index: int) -> Raw: ...
    @overload
    def __getitem__(self, index: slice) -> Raws: ...
    def __getitem__(self, index: int | slice) -> Raw | Raws:
        if isinstance(index, slice):
            return self.at(self.numbers[index])
        number = self.numbers[index]
        return as_raw(self._begin + number, self._inputs[number], self._modality, self._base, self._path_guard)


def observe(listing: Listing, also: Callable[[int, Raw], None] | None = None, *, chunk: bool = False) -> Data:
    """Read the facts of every example that is listed.

    also: called in the reading thread with the number in the listing of each example whose facts were read; what it
    raises as `Unreadable` counts as if the facts had. chunk: the listing is one of many, and may hold nothing of use.

    Raises `DataError` where nothing can be used.
    """
    reader: Reader = load_factory(listing.modality.reader)()
    raws = Raws.of(listing)
    labels, splits = listing.labels, listing.splits
    good = array("q")
    bad: list[Bad] = []

    def one(number: int) -> tuple[str, Mapping[str, Value]] | Bad:
        raw = raws[number]
        found = read_facts(reader, raw)
        if isinstance(found, Bad):
            return found
        if labels is not None and labels[number] is None:
            return Bad(reader.show(raw), f"'{reader.show(raw)}' has no label.", "unlabelled")
        if also is not None:
            try:
                also(number, raw)
            except Unreadable as error:
                return _bad(reader, raw, error)
        return reader.show(raw), found

    def usable() -> Iterator[tuple[str, Mapping[str, Value]]]:
        chunks = (range(start, min(start + CHUNK, len(raws))) for start in range(0, len(raws), CHUNK))
        # Files are waited for in threads; what is in memory already would only wait for its turn there.
        run = map if listing.modality.inline and listing.rows else prefetch_map
        found = (item for chunk in run(lambda numbers: [one(n) for n in numbers], chunks) for item in chunk)
        for number, item in enumerate(found if chunk else track(found, "Reading", len(raws))):
            if isinstance(item, Bad):
                bad.append(item)
            else:
                good.append(number)
                yield item

    items = "rows" if listing.modality.inline and listing.rows else reader.items
    observed = listing.modality.observed(listing.place, usable(), items)
    if not good and not chunk:
        raise DataError(
            f"None of the {len(raws)} examples of {listing.place} can be used; the first: {bad[0].reason}",
            "Mend the data.",
        )
    return Data(
        name=listing.name,
        modality=listing.modality,
        raws=Raws.of(listing, good),
        labels=None if labels is None else [label for i in good if (label := labels[i]) is not None],
        splits=None if splits is None else [splits[i] for i in good],
        observed=observed,
        bad=bad,
        notes=listing.notes,
    )


def as_raw(number: int, item: Any, modality: Modality, base: Path, path_guard: PathGuard | None) -> Raw:
    """Name an input as it was given: a path, a text, encoded bytes (as `datasets` keeps them), or an object.

    Raises `DataError` for a path that leads outside of where it may.
    """

    def file(said: str) -> Path:
        path = base / os.path.expanduser(said)  # noqa: PTH111  pathlib's raises for a user that is not known
        if path_guard is not None:
            path_guard.check(path, f"Row {number + 1}", said)
        return path

    if isinstance(item, Raw):
        return item
    if isinstance(item, Path) or (isinstance(item, str) and not modality.inline):
        return Raw(readable(str(item)), file(str(item)))
    if isinstance(item, str):
        return Raw(readable(item) if item.strip() else f"row {number + 1}", value=item)
    if isinstance(item, bytes) and modality.inline:
        return Raw(f"row {number + 1}", value=item)
    if isinstance(item, Mapping) and "bytes" in item:
        path = item.get("path")
        name = path or f"row {number + 1}"
        return Raw(name, file(path) if path and item["bytes"] is None else None, item["bytes"])
    if item is None:
        return Raw(f"row {number + 1}")
    return Raw(f"input {number + 1}", value=item)


def read_facts(reader: Reader, raw: Raw) -> Mapping[str, Value] | Bad:
    """The facts of an example, or why it cannot be read."""
    try:
        if raw.path is None and raw.value is None:
            raise Empty(f"'{raw.name}' is empty.")
        return reader.facts(raw)
    except Unreadable as error:
        return _bad(reader, raw, error)


def _bad(reader: Reader, raw: Raw, error: Unreadable) -> Bad:
    return Bad(reader.show(raw), str(error), "empty" if isinstance(error, Empty) else "unreadable")


def files_among(inputs: Iterable[Any], modality: Modality) -> list[Any]:
    """The inputs, with a string that names an existing file of an inline modality taken as that file, not as a text."""
    return [Path(item) if isinstance(item, str) and _names_file(item, modality) else item for item in inputs]


def _names_file(item: str, modality: Modality) -> bool:
    plausible = len(item) < 1024 and "\n" not in item and Path(item).suffix.lower() in modality.extensions
    return plausible and Path(item).is_file()


def allow_bad(bad: Sequence[Bad], total: int, on_bad: str, agreement: Agreement | None = None) -> tuple[str, ...]:
    """Warnings that name what is left out. `on_bad` is "skip" (up to 5 % of `total`) or "error".

    agreement: counts, before any is read, the examples that it leaves out.

    Raises `DataError` when there are more, or any with "error".
    """
    if on_bad not in ("skip", "error"):
        raise UsageError(f"--on-bad {on_bad} is not known; skip and error are.", "Write: --on-bad skip")
    count = len(bad) + (agreement.least_left_out if agreement else 0)
    if count and (on_bad == "error" or count > MOST_BAD * total):
        limit = (
            "none is allowed with --on-bad error" if on_bad == "error" else f"at most {MOST_BAD:.0%} may be left out"
        )
        first = bad[0].reason if bad or agreement is None else agreement.left_out[0].sentence
        raise DataError(
            f"{count} of {total} examples cannot be used and {limit}; the first: {first}", "Mend or remove them."
        )
    return tuple(f"Left out: {item.reason}" for item in bad)
