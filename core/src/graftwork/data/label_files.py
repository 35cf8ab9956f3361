"""Label files, as annotation tools write them: which format a path is of, and the listing of what is labelled there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from graftwork.data.formats.tables import ending
from graftwork.data.listing import Listing, Part
from graftwork.data.options import SourceOptions
from graftwork.data.path_guard import PathGuard
from graftwork.data.raws import Raws
from graftwork.data.remote import copies
from graftwork.data.walk import shown
from graftwork.errors import DataError, GraftworkError, PluginFault, UsageError
from graftwork.plugins import registry
from graftwork.plugins.loading import installed
from graftwork.specs.annotations import Annotated, AnnotatedExamples, AnnotationReader, AnnotationSpec, Mask
from graftwork.specs.factories import load_factory
from graftwork.specs.modality import Modality
from graftwork.specs.readers import Reader
from graftwork.specs.splits import SPLITS

KINDS = {
    "spans": "spans",
    "boxes": "boxes",
    "mask": "masks",
    "transcript": "transcripts",
    "name": "a name for each example",
}
"""The kinds of labels, in words."""


class Formats:
    """The formats of label files that a file or folder is of, for the task of some options."""

    def __init__(self, place: Path, options: SourceOptions) -> None:
        self.place, self.options = place, options
        self._specs = {spec.name: spec for spec in registry.annotation_formats()}
        self._readers: dict[str, AnnotationReader] = {}
        self._faults: list[PluginFault] = []

    @property
    def kind(self) -> str:
        """The kind of labels that the task takes; empty if no label file gives it."""
        task = self.options.spec
        return task.annotation or ("name" if task.names else "")

    @property
    def known(self) -> list[str]:
        """The names of all formats."""
        return list(self._specs)

    @property
    def names_columns(self) -> bool:
        return bool(self.options.input or self.options.label)

    @cached_property
    def fitting(self) -> list[AnnotationSpec]:
        """The formats that the place is of, whatever they give. One whose plugin fails keeps nobody from the others."""
        found = []
        for spec in self._specs.values():
            try:
                if self._fits(spec):
                    found.append(spec)
            except PluginFault as error:
                self._faults.append(error)
        return found

    def only_fit(self) -> AnnotationSpec | None:
        """The format of the place that gives what the task takes; None where there is none, or where columns are named
        for what is a table too.

        Raises `UsageError` if there are several.
        """
        if self.options.labelled is False or (self.names_columns and ending(self.place)):
            return None
        given = [spec for spec in self.fitting if self._gives(spec)]
        if len(given) > 1:
            one, other = given[:2]
            raise UsageError(
                f"'{self.place}' can be read in two ways: as {one.name} ({one.words}) and as {other.name} "
                f"({other.words}).",
                f"Say which: --layout {one.name} or --layout {other.name}",
            )
        return given[0] if given else None

    def asked(self, layouts: Mapping[str, str]) -> Listing:
        """The listing by the format that `--layout` names. layouts: those of folders, in words.

        Raises `UsageError` for one that is not known or does not fit, `DataError` if it does not give what the task
        takes.
        """
        name = self.options.layout
        if name not in self._specs:
            words = {**layouts, **{spec.name: spec.words for spec in self._specs.values()}}
            known = "; ".join(f"{layout} ({said})" for layout, said in words.items())
            raise UsageError(f"--layout {name} is not known; known are {known}.", "Leave it out, and it is found.")
        spec = self._specs[name]
        if not self._fits(spec):
            raise UsageError(
                f"'{self.place}' is not laid out as {name}: {spec.words}.", "Leave out --layout, and it is found."
            )
        if not self._gives(spec):
            raise self._other_kinds([spec])
        return self.listed(spec)

    def of_other_kinds(self) -> DataError | None:
        """Why the place is of no use to the task, though it is of a known format; None if it is of none."""
        if self.options.labelled is False or (self.names_columns and ending(self.place)):
            return None
        found = [spec for spec in self.fitting if not self._gives(spec)]
        return self._other_kinds(found) if found else None

    def unlabelled(self) -> Listing | None:
        """The examples of a label file without their labels; None where labels are wanted, or nothing fits."""
        if self.options.labelled is not False or self.place.is_dir() or not self.fitting:
            return None
        return replace(self.listed(self.fitting[0], self.fitting[0].kinds[0]), labels=None, labels_place="")

    def check_no_rival(self, layout: str, words: str, *, certain: bool) -> None:
        """Raises `DataError` where label files, and not a layout, say how a folder is to be read. certain: whether the
        layout makes no sense; if it does, `UsageError`.
        """
        why = self.of_other_kinds()
        if why is None:
            return
        if certain:
            raise why
        spec = next(spec for spec in self.fitting if not self._gives(spec))
        tasks = _tasks(spec)
        raise UsageError(
            f"'{self.place}' can be read in two ways: as {layout} ({words}) and as {spec.name} ({spec.words}), which "
            f"gives {_listed([KINDS[kind] for kind in spec.kinds])}.",
            f"Say which: --layout {layout}" + (f" or --task {tasks[0]}" if tasks else ""),
        )

    def none(self) -> GraftworkError:
        """Nothing in the place labels what the task takes; or the format that might is broken."""
        if self._faults:
            return self._faults[0]
        kind = KINDS[self.kind]
        read = "; ".join(f"{spec.name} ({spec.words})" for spec in self._specs.values() if self._gives(spec))
        return DataError(
            f"'{self.place}' holds no {kind} in a form that is known; known are {read or 'none'}, and tables with a "
            "column of them.",
            "Save them in one of these formats; see: graftwork plugins",
        )

    def listed(self, spec: AnnotationSpec, kind: str = "") -> Listing:
        """The listing of what is labelled in the place, by the kind of labels that the task takes, or another one.

        Raises `DataError` as the format's reader does, and if nothing is there.
        """
        options, place = self.options, self.place
        if options.input or options.label:
            raise UsageError(
                f"'{place}' is read as {spec.name} ({spec.words}), which has no columns.",
                "Leave out --input and --label.",
            )
        found = self._read(spec, kind or self.kind)
        modality = registry.modality(spec.modality)
        examples, notes = _in_known_splits(found)
        if not examples:
            raise DataError(f"'{place}' holds no examples.", f"A place that is read as {spec.name} is {spec.words}.")
        root = place if place.is_dir() else place.parent
        name = place.resolve().name if place.is_dir() else place.stem
        guard = None if options.allow_outside else PathGuard(name, root)
        if guard is not None:
            _check_masks(guard, examples)
        labels = [example.label for example in examples]
        listing = Listing(
            name=name,
            place=f"folder '{place}'" if place.is_dir() else f"file '{place}'",
            modality=modality,
            inputs=[_input(example, modality, spec) for example in examples],
            labels=labels,
            splits=[SPLITS[example.split.lower()] for example in examples] if examples[0].split else None,
            base=Path(),
            notes=notes,
            path_guard=guard,
            layout=spec.name,
            labels_place="label files",
        )
        return copies.as_named(listing, root)

    def _gives(self, spec: AnnotationSpec) -> bool:
        modality = self.options.spec.modality
        return self.kind in spec.kinds and modality in ("", spec.modality)

    def _reader(self, spec: AnnotationSpec) -> AnnotationReader:
        if spec.name not in self._readers:
            made: Any = load_factory(spec.factory)
            if not (isinstance(made, type) and issubclass(made, AnnotationReader)):
                raise PluginFault(
                    f"'{spec.factory}' is not a graftwork.AnnotationReader.",
                    "Mend the plugin that brings it.",
                    factory=spec.factory,
                )
            self._readers[spec.name] = made()
        return self._readers[spec.name]

    def _fits(self, spec: AnnotationSpec) -> bool:
        reader = self._reader(spec)
        try:
            return reader.fits(self.place)
        except GraftworkError:
            raise
        except (Exception, SystemExit) as error:
            raise _fault(spec, self.place, error) from error

    def _read(self, spec: AnnotationSpec, kind: str) -> AnnotatedExamples:
        reader = self._reader(spec)
        try:
            return reader.read(self.place, kind)
        except GraftworkError:
            raise
        except (Exception, SystemExit) as error:
            raise _fault(spec, self.place, error) from error

    def _other_kinds(self, specs: Sequence[AnnotationSpec]) -> DataError:
        """Raised for labels of a known format that the task does not take."""
        spec, task = specs[0], self.options.spec
        given = _listed([KINDS[kind] for kind in spec.kinds])
        takes = f"is for {task.modality}" if self.kind in spec.kinds else f"takes {task.labels}"
        tasks = [name for each in specs for name in _tasks(each)]
        ways = " or ".join(f"--task {name}" for name in dict.fromkeys(tasks))
        return DataError(
            f"'{self.place}' is read as {spec.name} ({spec.words}), which gives {given}; the task '{task.name}' "
            f"{takes}.",
            f"Write: {ways}" if ways else "Install a plugin with a task that takes them; see: graftwork plugins",
        )


def inputs_in(place: Path, modality: Modality) -> Raws | None:
    """The examples of label files, for those who want no labels; None where the place is of no format of the
    modality."""
    formats = Formats(place, SourceOptions(labelled=False))
    spec = next((spec for spec in formats.fitting if spec.modality == modality.name), None)
    return None if spec is None else Raws.of(formats.listed(spec, spec.kinds[0]))


def _tasks(spec: AnnotationSpec) -> list[str]:
    """The names of the tasks that take what a format gives."""
    return [
        task.name
        for task in installed().registered["tasks"].values()
        if task.annotation in spec.kinds and task.modality in ("", spec.modality)
    ]


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _fault(spec: AnnotationSpec, place: Path, error: BaseException) -> PluginFault:
    return PluginFault(
        f"The reader of the format '{spec.name}' fails on '{place}': {type(error).__name__}: {error}.",
        "Tell the authors of its plugin; see: graftwork plugins",
    )


def _in_known_splits(found: AnnotatedExamples) -> tuple[Sequence[Annotated], tuple[str, ...]]:
    """The examples of the splits that are used, all of them where there are none; and notes."""
    counts = Counter(example.split for example in found.examples)
    notes = list(found.notes)
    if not any(counts):
        return found.examples, tuple(notes)
    for split, count in counts.items():
        if not split:
            notes.append(f"Left out: {count} examples that are in no split.")
        elif split.lower() not in SPLITS:
            notes.append(f"The split '{split}' ({count} examples) is left out; train, validation and test are used.")
    used = [example for example in found.examples if example.split.lower() in SPLITS]
    return used, tuple(notes)


def _input(example: Annotated, modality: Modality, spec: AnnotationSpec) -> Any:
    item = example.input
    if isinstance(item, str) and modality.inline:
        return item
    if example.seconds is None:
        return Path(item)
    reader: type[Reader] = load_factory(modality.reader)
    if not reader.reads_parts:
        raise PluginFault(
            f"The format '{spec.name}' gives parts of files, and '{modality.reader}' does not read parts.",
            "Set reads_parts in the reader, and read Raw.part.",
        )
    return Part(Path(item), example.seconds)


def _check_masks(guard: PathGuard, examples: Sequence[Annotated]) -> None:
    for number, example in enumerate(examples, 1):
        if isinstance(example.label, Mask) and example.label.path is not None:
            guard.check(example.label.path, f"The mask of example {number}", shown([str(example.label.path)]))
