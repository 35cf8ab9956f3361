"""Labelled data for the rest of the program: what they are, which examples can be used, and which cannot and why."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from graftwork.data import label_faults
from graftwork.data.labels import NO_RULES, LabelRules
from graftwork.data.listing import Listing
from graftwork.data.options import SourceOptions
from graftwork.data.raws import Raws
from graftwork.errors import DataError, Empty, PluginFault, Unhandled, Unreadable, UsageError
from graftwork.plugins.faults import faults_have_owners, one_example
from graftwork.plugins.observing import reader_of
from graftwork.plugins.registry import modalities
from graftwork.runtime.parallel import prefetch_map
from graftwork.runtime.progress import track
from graftwork.specs.agreement import Agreement
from graftwork.specs.contracts import ObservedInput, Value
from graftwork.specs.factories import load_factory
from graftwork.specs.modality import Modality
from graftwork.specs.readers import Raw, Reader
from graftwork.specs.task import DEFAULT_TASK, RawLabel

MOST_BAD = 0.05
"""The fraction of the data that may be left out as unreadable before a fit is refused."""

CHUNK = 64
"""The number of examples that a thread reads at a time."""

FROM_WINDOWS = "Paths with backslashes, as Windows writes them, are read with slashes where only that file exists."


@dataclass(frozen=True)
class Bad:
    """An example that cannot be used: the reason as a sentence, and its kind, "unreadable", "empty", "unlabelled",
    "label" where its label cannot be true of it, or "plugin_fault" where code of a plugin failed on it."""

    name: str
    reason: str
    kind: str = "unreadable"

    @classmethod
    def of(cls, name: str, error: Unreadable) -> Bad:
        """The example of this name, by what was raised when it was read."""
        kinds: dict[type, str] = {Empty: "empty", Unhandled: "plugin_fault", Unreadable: "unreadable"}
        return cls(name, str(error), next(kind for of, kind in kinds.items() if isinstance(error, of)))


@dataclass(frozen=True)
class Data:
    """Labelled (or unlabelled) data whose headers have been read.

    raws, labels and splits run in step; labels or splits are None if the source has none.
    observed: the facts of the readable examples. bad: the examples that cannot be used, left out of `raws`.
    notes: sentences about anything else of the source that is not here. rules: how its labels were mapped. layout: how
    the source is laid out, by name. labels_place: where its labels stand, in words. input, label: the
    columns of its inputs and labels.
    """

    name: str
    modality: Modality
    raws: Raws
    labels: Sequence[RawLabel] | None
    splits: Sequence[str] | None
    observed: ObservedInput
    bad: Sequence[Bad]
    notes: Sequence[str] = ()
    rules: LabelRules = NO_RULES
    layout: str = ""
    labels_place: str = ""
    input: str = ""
    label: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.raws)

    def only(self, split: str) -> Data:
        """The examples of a split; all of them if the data have none of that split."""
        chosen = [i for i, word in enumerate(self.splits or ()) if word == split]
        return self.at(chosen) if chosen else self

    def at(self, places: Sequence[int]) -> Data:
        """The examples at these places."""
        raws = self.raws.at([self.raws.numbers[i] for i in places])
        labels, splits = (
            [some[i] for i in places] if some is not None else None for some in (self.labels, self.splits)
        )
        return replace(self, raws=raws, labels=labels, splits=splits)

    max_left_out: ClassVar[float] = MOST_BAD
    """The fraction of `head` that may not fit an encoder."""

    @property
    def head(self) -> Data:
        """The data that are looked at first: here all of them. A stream has its first chunk."""
        return self

    def chunks(self) -> Iterator[Data]:
        """Yield the data in chunks: here a single one."""
        yield self


@faults_have_owners
def data(
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
) -> Data:
    """Read labelled data.

    source: a folder with one folder per label, a table of texts or file paths (CSV, TSV, JSON, Parquet, Arrow, a
    spreadsheet or SQLite), a `datasets` folder saved to disk, `hub:NAME`, a `datasets.Dataset`, a DataFrame of pandas
    or polars, an Arrow table, or a list of dicts; also an archive or shards of these, and an address (`s3://`,
    `https://`, ...), which is fetched and kept.
    input, label: the columns of a table, found by themselves when plain; several label columns are labels of one
    example (0 or 1 each, or a value each). labelled: False does not require labels. task: the task of the labels, which
    decides whether a blank cell is a missing label or an empty one. layout: the name of a folder's layout, where more
    than one fits. label_map: new labels by old ones, or a table with the columns old and new. drop_label: labels whose
    examples are left out. allow_outside: paths in a table may lead outside of its folder. modality: what the inputs
    are, by name, where two kinds may be read from the same files.
    Only headers are read; an unreadable example is listed in `bad`, never dropped silently.

    Raises `DataError` if there is nothing to use or a path leads outside, `UsageError` for a column that does not
    exist, and for files that two modalities read where none is named.
    """
    return read(
        source,
        SourceOptions.of(
            input=input, label=label, labelled=labelled, task=task, layout=layout, label_map=label_map,
            drop_label=drop_label, allow_outside=allow_outside, modality=modality,
        ),
    )  # fmt: skip


def read(source: Any, options: SourceOptions) -> Data:
    """The data of a source. Raises as `data` does."""
    return replace(observe(list_source(source, options)), rules=options.rules)


def list_source(source: Any, options: SourceOptions) -> Listing:
    """List what `source` holds, without reading any example."""
    from graftwork.data import layouts
    from graftwork.data.columns import list_tables
    from graftwork.data.remote import copies

    names = options.names()
    with copies.in_words():
        found = layouts.open_data(source, options)
        if not isinstance(found, Listing):
            tables = found.whole()
            input, label = options.columns(next((table.column_names for table in tables.values()), []))
            listing = list_tables(
                tables, found.name, found.base, found.path_guard, input, label, options.labelled, options.spec,
                options.wanted,
            )  # fmt: skip
            listing = copies.with_files(copies.as_named(listing, found.base), source)
            found = replace(listing, notes=(*found.notes, *listing.notes), layout=found.layout)
    check_modality(options, found)
    listing = found.named(names)
    if options.strict:
        names.check_used()
    return replace(listing, notes=(*listing.notes, *names.notes()))


def check_modality(options: SourceOptions, listing: Listing) -> None:
    """Raises `UsageError` for data of another modality than was named, or than the task is for."""
    if options.modality not in ("", listing.modality.name):
        raise UsageError(
            f"--modality {options.modality} was named; {listing.place} holds {listing.modality.noun} "
            f"({listing.modality.name}).",
            "Leave out --modality, or name other data.",
        )
    wanted = options.spec.modality
    if wanted in ("", listing.modality.name):
        return
    noun = next((modality.noun for modality in modalities() if modality.name == wanted), wanted)
    raise UsageError(
        f"The task '{options.task}' is for {noun}; {listing.place} holds {listing.modality.noun}.",
        "Name another task, or other data; see: graftwork fit --help",
    )


def observe(listing: Listing, also: Callable[[int, Raw], None] | None = None, *, chunk: bool = False) -> Data:
    """Read the facts of every listed example.

    also: called in the reading thread with the number in the listing of each example whose facts were read, and the
    example; an `Unreadable` that it raises counts as if the facts were unreadable. chunk: the listing is one of many,
    and may hold nothing usable.

    Raises `DataError` if nothing can be used.
    """
    reader: Reader = load_factory(listing.modality.reader)()
    observer = reader_of(listing.modality)
    raws = Raws.of(listing)
    numbers = listing.numbers if listing.numbers is not None else range(len(raws))
    labels, splits = listing.labels, listing.splits
    good = array("q")
    bad: list[Bad] = []
    notes = dict.fromkeys(listing.notes)

    def one(number: int) -> tuple[str, Mapping[str, Value]] | Bad:
        raw = raws[number]
        if "\\" in raw.name and raw.path is not None and "\\" not in str(raw.path):
            notes[FROM_WINDOWS] = None
        found = read_facts(observer, raw)
        if isinstance(found, Bad):
            return found
        if labels is not None and labels[number] is None:
            return Bad(reader.show(raw), f"'{reader.show(raw)}' has no label.", "unlabelled")
        try:
            with one_example(lambda: raw.name):
                if labels is not None and (why := label_faults.fault(labels[number], raw, reader, found)):
                    why = f"'{reader.show(raw)}' has a label that cannot be true: {why}."
                    return Bad(reader.show(raw), why, "label")
                if also is not None:
                    also(number, raw)
                return reader.show(raw), found
        except Unreadable as error:
            return Bad.of(raw.name if isinstance(error, Unhandled) else reader.show(raw), error)

    def usable() -> Iterator[tuple[str, Mapping[str, Value]]]:
        chunks = (numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK))
        # Threads help to wait for files; with values in memory they would only compete for the interpreter.
        in_memory = listing.rows or not isinstance(next(iter(listing.inputs), None), Path)
        run = map if listing.modality.inline and in_memory else prefetch_map
        found = (item for chunk in run(lambda chosen: [one(n) for n in chosen], chunks) for item in chunk)
        for number, item in zip(numbers, found if chunk else track(found, "Reading", len(numbers)), strict=True):
            if isinstance(item, Bad):
                bad.append(item)
            else:
                good.append(number)
                yield item

    items = "rows" if listing.modality.inline and listing.rows else reader.items
    observed = listing.modality.observed(listing.place, usable(), items)
    if not good and not chunk:
        _check_plugins(bad, len(numbers))
        raise DataError(
            f"None of the {len(numbers)} examples of {listing.place} can be used; the first: {bad[0].reason}",
            "Mend the data.",
        )
    found = None if labels is None else [label for i in good if (label := labels[i]) is not None]
    if found is not None:
        whole, found = found, [label_faults.without_empty(label) for label in found]
        slips = [i for i, before, after in zip(good, whole, found, strict=True) if before is not after]
        if slips:
            name = reader.show(raws[slips[0]])
            notes[f"Left out: boxes that hold no pixel, in {len(slips)} of the {items}; the first: {name}."] = None
    return Data(
        name=listing.name,
        modality=listing.modality,
        raws=Raws.of(listing, good),
        labels=found,
        splits=None if splits is None else [splits[i] for i in good],
        observed=observed,
        bad=bad,
        notes=tuple(notes),
        layout=listing.layout,
        labels_place=listing.labels_place,
        input=listing.input,
        label=listing.label,
    )


def read_facts(reader: Reader, raw: Raw) -> Mapping[str, Value] | Bad:
    """The facts of an example, or a `Bad` if it cannot be read."""
    try:
        if raw.path is None and raw.value is None:
            raise Empty(f"'{raw.name}' is empty.")
        with one_example(lambda: raw.name):
            return reader.facts(raw)
    except Unreadable as error:
        return Bad.of(raw.name if isinstance(error, Unhandled) else reader.show(raw), error)


def _check_plugins(bad: Sequence[Bad], total: int) -> None:
    """Raises `PluginFault` where more examples than may be left out are lost to faults of plugins."""
    faults = [item.reason for item in bad if item.kind == "plugin_fault"]
    if len(faults) > MOST_BAD * total:
        raise PluginFault(
            f"Code of a plugin fails on {len(faults)} of {total} examples; the first: {faults[0]}",
            "Report it to its authors; what is installed, and how to go on without it: graftwork plugins",
            owned=True,
        )


def allow_bad(bad: Sequence[Bad], total: int, on_bad: str, agreement: Agreement | None = None) -> tuple[str, ...]:
    """Warnings that name the examples left out.

    on_bad: "skip" allows up to 5 % of `total`, "error" none. agreement: adds the examples that it leaves out, before
    any is read.

    Raises `DataError` if more are left out, `UsageError` for another `on_bad`.
    """
    if on_bad not in ("skip", "error"):
        raise UsageError(f"--on-bad {on_bad} is not known; skip and error are.", "Write: --on-bad skip")
    count = len(bad) + (agreement.least_left_out if agreement else 0)
    if count and (on_bad == "error" or count > MOST_BAD * total):
        _check_plugins(bad, total)
        limit = (
            "none is allowed with --on-bad error" if on_bad == "error" else f"at most {MOST_BAD:.0%} may be left out"
        )
        first = bad[0].reason if bad or agreement is None else agreement.left_out[0].sentence
        raise DataError(
            f"{count} of {total} examples cannot be used and {limit}; the first: {first}", "Mend or remove them."
        )
    return tuple(f"Left out: {item.reason}" for item in bad)
