"""Labelled data as the rest sees it: what they are, which examples can be used, and which cannot and why."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graftwork.contracts import ObservedInput, Value
from graftwork.errors import DataError, Unreadable, UsageError
from graftwork.listing import Listing
from graftwork.progress import track
from graftwork.readers import Raw, Reader
from graftwork.specs import Modality, load_factory

MOST_BAD = 0.05
"""The part of the data that may be left out as unreadable before a fit is refused."""


@dataclass(frozen=True)
class Bad:
    """An example that cannot be used, and why, in one sentence."""

    name: str
    reason: str


@dataclass(frozen=True)
class Data:
    """Labelled (or unlabelled) data whose headers have been read.

    raws, labels and splits run in step; labels or splits are None where the source has none.
    observed: what the readable examples are. bad: those that cannot be read, left out of `raws`.
    notes: what else of the source is not here, a sentence each.
    """

    name: str
    modality: Modality
    raws: Sequence[Raw]
    labels: Sequence[str] | None
    splits: Sequence[str] | None
    observed: ObservedInput
    bad: Sequence[Bad]
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.raws)

    def where(self, split: str) -> list[int]:
        """The indices of the examples of a split; none where the data bring no splits."""
        return [i for i, s in enumerate(self.splits or ()) if s == split]


def data(source: Any, *, input: str | None = None, label: str | None = None, labelled: bool = True) -> Data:
    """Read what `source` is: a folder of class folders, a CSV, TSV, JSONL or Parquet table of texts or file paths, a
    `datasets` folder saved to disk, `hub:NAME`, or a `datasets.Dataset`.

    input, label: the columns of a table, found by themselves when plain; labelled=False does not ask for a label.
    Only headers are read; an unreadable example is listed in `bad`, never dropped in silence.

    Raises `DataError` when there is nothing to use, `UsageError` for a column that does not exist.
    """
    return _observe(_list(source, input, label, labelled))


def _list(source: Any, input_column: str | None, label_column: str | None, labelled: bool) -> Listing:
    from graftwork import folders, tables

    if hasattr(source, "with_format"):
        parts = source if isinstance(source, Mapping) else {"": source}
        arrow = {str(name): part.with_format("arrow")[:] for name, part in parts.items()}
        return tables.list_tables(arrow, "the data set", Path(), input_column, label_column, labelled)
    words = os.fspath(source)
    if words.startswith("hub:"):
        loaded = tables.read_datasets(words[4:], hub=True)
        return tables.list_tables(loaded, words, Path(), input_column, label_column, labelled)
    path = Path(words).expanduser()
    if not path.exists():
        raise DataError(
            f"'{words}' does not exist; a folder, a table or hub:NAME is accepted.", "See: graftwork fit --help"
        )
    if path.is_file():
        if path.suffix.lower() not in tables.SUFFIXES:
            raise DataError(
                f"'{words}' ends in '{path.suffix}'; tables end in {', '.join(tables.SUFFIXES)}.",
                "Give a table, or a folder of class folders.",
            )
        return tables.list_tables(
            {"": tables.read_table(path)}, path.stem, path.parent, input_column, label_column, labelled
        )
    if any((path / name).is_file() for name in ("dataset_dict.json", "dataset_info.json", "state.json")):
        loaded = tables.read_datasets(str(path), hub=False)
        return tables.list_tables(loaded, path.name, path, input_column, label_column, labelled)
    if input_column or label_column:
        raise UsageError(f"'{words}' is a folder of files, which has no columns.", "Leave out --input and --label.")
    return folders.list_folder(path)


def _observe(listing: Listing) -> Data:
    reader: Reader = load_factory(listing.modality.reader)()
    raws = as_raws(listing.inputs, listing.modality, listing.base)
    labels, splits = listing.labels, listing.splits
    good: list[int] = []
    bad: list[Bad] = []
    facts: list[tuple[str, Mapping[str, Value]]] = []
    for index, found in enumerate(track(read_facts(reader, raws, listing.modality), "Reading headers", len(raws))):
        if isinstance(found, Unreadable):
            bad.append(Bad(raws[index].name, str(found)))
        elif labels is not None and labels[index] is None:
            bad.append(Bad(raws[index].name, f"'{raws[index].name}' has no label."))
        else:
            good.append(index)
            facts.append((raws[index].name, found))
    if not good:
        raise DataError(
            f"None of the {len(raws)} examples of {listing.place} can be used; the first: {bad[0].reason}",
            "Mend the data.",
        )
    observed = ObservedInput.of(
        listing.modality.name,
        listing.place,
        facts,
        items="rows" if listing.modality.inline else reader.items,
        units=reader.units,
    )
    return Data(
        name=listing.name,
        modality=listing.modality,
        raws=[raws[i] for i in good],
        labels=None if labels is None else [str(labels[i]) for i in good],
        splits=None if splits is None else [splits[i] for i in good],
        observed=observed,
        bad=bad,
        notes=listing.notes,
    )


def as_raws(inputs: Iterable[Any], modality: Modality, base: Path) -> list[Raw]:
    """Name each input as it was given: a path, a text, encoded bytes (as `datasets` keeps them), or an object."""
    raws = []
    for number, item in enumerate(inputs):
        if isinstance(item, Raw):
            raws.append(item)
        elif isinstance(item, Path) or (isinstance(item, str) and not modality.inline):
            path = Path(item).expanduser()
            raws.append(Raw(str(item), base / path))
        elif isinstance(item, str):
            raws.append(Raw(item if item.strip() else f"row {number + 1}", value=item))
        elif isinstance(item, Mapping) and "bytes" in item:
            path = item.get("path")
            name = path or f"row {number + 1}"
            raws.append(Raw(name, base / path if path and item["bytes"] is None else None, item["bytes"]))
        elif item is None:
            raws.append(Raw(f"row {number + 1}"))
        else:
            raws.append(Raw(f"input {number + 1}", value=item))
    return raws


def files_among(inputs: Iterable[Any], modality: Modality) -> list[Any]:
    """The inputs, with a string that names an existing file of an inline modality taken as that file, not as a text."""
    return [Path(item) if isinstance(item, str) and _names_file(item, modality) else item for item in inputs]


def _names_file(item: str, modality: Modality) -> bool:
    plausible = len(item) < 1024 and "\n" not in item and Path(item).suffix.lower() in modality.extensions
    return plausible and Path(item).is_file()


def read_facts(reader: Reader, raws: Sequence[Raw], modality: Modality) -> Iterable[Mapping[str, Value] | Unreadable]:
    """The facts of each example in order, or why it cannot be read."""

    def one(raw: Raw) -> Mapping[str, Value] | Unreadable:
        try:
            if raw.path is None and raw.value is None:
                raise Unreadable(f"'{raw.name}' is empty.")
            return reader.facts(raw)
        except Unreadable as error:
            return error

    if modality.inline:
        yield from map(one, raws)
        return
    with ThreadPoolExecutor(max_workers=min(8, 2 * (os.cpu_count() or 1))) as pool:
        yield from pool.map(one, raws)


def allow_bad(bad: Sequence[Bad], total: int, on_bad: str) -> tuple[str, ...]:
    """Warnings that name what is left out. `on_bad` is "skip" (up to 5 % of `total`) or "error".

    Raises `DataError` when there are more, or any with "error".
    """
    if on_bad not in ("skip", "error"):
        raise UsageError(f"--on-bad {on_bad} is not known; skip and error are.", "Write: --on-bad skip")
    if not bad:
        return ()
    if on_bad == "error" or len(bad) > MOST_BAD * total:
        limit = (
            "none is allowed with --on-bad error" if on_bad == "error" else f"at most {MOST_BAD:.0%} may be left out"
        )
        raise DataError(
            f"{len(bad)} of {total} examples cannot be used and {limit}; the first: {bad[0].reason}",
            "Mend or remove them.",
        )
    return tuple(f"Left out: {item.reason}" for item in bad)
