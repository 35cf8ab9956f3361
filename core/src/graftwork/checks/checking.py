"""Check data before anything is trained on them: each example is read once, and problems are counted and named."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from graftwork.checks import annotations, defects, near_duplicates
from graftwork.data.listing import Listing
from graftwork.data.options import SourceOptions
from graftwork.data.raws import Raws
from graftwork.data.reading import MOST_BAD, Data, list_source, observe
from graftwork.errors import InputMismatch
from graftwork.plugins import registry
from graftwork.plugins.faults import faults_have_owners
from graftwork.specs.agreement import Agreement
from graftwork.specs.contracts import plural, show
from graftwork.specs.defects import TRUNCATED, measured
from graftwork.specs.factories import load_factory
from graftwork.specs.problem import Problem
from graftwork.specs.readers import Likeness, Raw, Reader
from graftwork.specs.task import DEFAULT_TASK
from graftwork.tasks.task import Task, load_task

NAMED = 20
"""The most examples (or groups of them) of a problem that are named."""


@dataclass(frozen=True)
class Checked:
    """The result of `check`: the data, their problems, and if a backbone was named, whether they fit it."""

    data: Data
    task: Task
    raws: Raws
    problems: tuple[Problem, ...]
    backbone: str | None
    agreement: Agreement | None
    mismatch: InputMismatch | None
    seconds: float
    labels: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)

    @property
    def lossy(self) -> bool:
        """Whether something of the data does not reach an encoder."""
        lost = {TRUNCATED.name, *(defect.name for defect in self.data.modality.defects)}
        return any(problem.kind in lost for problem in self.problems)

    @cached_property
    def reader(self) -> Reader:
        return load_factory(self.data.modality.reader)()

    @cached_property
    def places(self) -> dict[int, tuple[str, str]]:
        """The label and the split of each readable example, by its number in the listing; an empty string for none."""
        labels, splits = self.data.labels, self.data.splits
        return {
            number: (self.task.show(labels[i]) if labels else "", splits[i] if splits else "")
            for i, number in enumerate(self.data.raws.numbers)
        }

    @cached_property
    def label_counts(self) -> dict[str, dict[str, int]]:
        """For each label how many examples of each split have it, "all" where the data bring no splits."""
        by_split = self.task.tally_by_split(self.data.labels or (), self.data.splits)
        splits = {split or "all": counts for split, counts in by_split.items()}
        return {name: {split: counts.get(name, 0) for split, counts in splits.items()} for name in self.labels}

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "data": self.data.name,
            "layout": self.data.layout,
            "notes": list(self.data.notes),
            "observed": self.data.observed.as_json(),
            "labels": self.labels,
            "splits": self.splits,
            "label_counts": self.label_counts,
            "problems": [problem.as_json() for problem in self.problems],
            "backbone": self.backbone,
            "agreement": self.agreement.as_json() if self.agreement else None,
            "seconds": round(self.seconds, 3),
        }
        if self.mismatch:
            error = {"type": "InputMismatch", "message": self.mismatch.message, "hint": self.mismatch.hint}
            found["error"] = error
        return found


@faults_have_owners
def check(
    source: Any,
    *,
    backbone: str | None = None,
    task: str = DEFAULT_TASK,
    adapter: str = "",
    convert: str | Sequence[str] = (),
    **options: Any,
) -> Checked:
    """Read data, labelled or not, once: describe them, find their problems, and test whether they fit `backbone`.

    source, options: as `graftwork.data` takes them. adapter, convert: as `graftwork.fit` does. Nothing is trained, and
    no weights are needed.

    A mismatch is one of the problems, and is kept in `mismatch`. Raises `DataError` if there is nothing to read,
    `UnknownName` for a backbone, task, adapter or step that no plugin brings.
    """
    begun = time.perf_counter()
    asked = load_task(task)
    spec = registry.backbone(backbone) if backbone else None
    if adapter:
        registry.adapter(adapter)
    registry.optional_steps(convert)
    listing = list_source(
        source, SourceOptions.of(task=task, labelled=None, backbone=backbone, adapter=adapter, **options)
    )
    prints = _Prints(listing)
    data = observe(listing, prints.take)
    raws = Raws.of(listing)
    namer = _Namer(raws, listing)
    labels = [*asked.problems(data.labels)] if data.labels else []
    labels += annotations.problems(data, listing, asked.spec, load_factory(data.modality.reader)(), namer)
    reads = registry.reads(spec, adapter) if spec else None
    problems = [*_bad(data), *labels, *_unseen(data, asked), *defects.told_by_facts(data, reads)]
    problems += [*prints.shares.problems(data, namer), *_copies(data, asked, prints, namer)]
    agreement = mismatch = None
    if spec is not None:
        try:
            agreement = registry.agree_on(spec, data.observed, adapter, convert=convert, may_leave_out=MOST_BAD)
        except InputMismatch as error:
            mismatch = error
            problems.insert(0, Problem("mismatch", error.message, error.hint, len(data)))
        else:
            lost = defects.at_encoder(spec, data, agreement)
            problems += lost.problems(data, namer) if lost else ()
    return Checked(
        data=data,
        task=asked,
        raws=raws,
        problems=tuple(problems),
        backbone=backbone,
        agreement=agreement,
        mismatch=mismatch,
        seconds=time.perf_counter() - begun,
        labels=asked.tally(data.labels or ()),
        splits=dict(Counter(data.splits or ()).most_common()),
    )


class _Prints:
    """For each listed example a content digest, what is seen to be lost of it, and if the modality has a `Likeness`, a
    signature.
    """

    def __init__(self, listing: Listing) -> None:
        modality = listing.modality
        self._reader: Reader = load_factory(modality.reader)()
        self.likeness: Likeness | None = load_factory(modality.likeness)() if modality.likeness else None
        self.digests = np.zeros(len(listing.inputs), dtype="V16")
        self.signed = np.zeros(len(listing.inputs), dtype=bool)
        self.signatures: Any = None
        self.shares = defects.Shares(measured(modality.defects), f"'{modality.reader}'")
        self._lock = threading.Lock()  # `take` is called in several threads

    def take(self, number: int, raw: Raw) -> None:
        self.digests[number] = np.void(self._reader.digest(raw))
        signature, seen = self.likeness.inspect(raw) if self.likeness else (None, {})
        self.shares.add(number, {**found, **seen} if (found := self._reader.inspect(raw)) else seen)
        if signature is None:
            return
        with self._lock:
            if self.signatures is None:
                self.signatures = np.zeros((len(self.signed), len(signature)), signature.dtype)
        self.signatures[number] = signature
        self.signed[number] = True


class _Namer:
    """The name of an example: the path of a file, or the number and the text of a table row."""

    def __init__(self, raws: Raws, listing: Listing) -> None:
        self._raws, self._reader = raws, load_factory(listing.modality.reader)()
        self._rows = listing.rows and listing.modality.inline

    def __call__(self, number: int) -> str:
        words = self._reader.show(self._raws[number])
        return f"row {number + 1}: {words}" if self._rows else words


def _bad(data: Data) -> Iterable[Problem]:
    total = len(data) + len(data.bad)
    phrases = {
        "unreadable": ("cannot be read", "They are left out of a fit (up to 5 %); mend or remove them."),
        "plugin_fault": (
            "are lost to the fault of a plugin",
            "They are left out of a fit (up to 5 %); report it to the plugin's authors.",
        ),
        "empty": ("are empty", "They are left out of a fit (up to 5 %); fill or remove them."),
        "label": (
            "have a label that cannot be true",
            "They are left out of a fit (up to 5 %); mend their labels, or remove them.",
        ),
        "unlabelled": ("have no label", "They are left out of a fit (up to 5 %); label or remove them."),
    }
    for kind, (words, hint) in phrases.items():
        found = [bad for bad in data.bad if bad.kind == kind]
        if found:
            message = f"{show(len(found))} of {show(total)} {data.observed.items} {words}; the first: {found[0].reason}"
            yield Problem(kind, message, hint, len(found), tuple(bad.reason for bad in found[:NAMED]))


def _unseen(data: Data, task: Task) -> Iterable[Problem]:
    """Labels that examples of the validation or test split have and no training example."""
    if data.labels is None or data.splits is None or "train" not in data.splits:
        return
    places = list(zip(data.labels, data.splits, strict=True))
    known = task.tally([label for label, split in places if split == "train"])
    for split in ("validation", "test"):
        found = task.tally([label for label, word in places if word == split])
        if unseen := sorted(set(found) - set(known)):
            message = f"The {split} split has the label '{unseen[0]}', which no training example has."
            hint = f"Add training examples, or leave it out: --drop-label '{unseen[0]}'"
            yield Problem("unseen_label", message, hint, sum(found[name] for name in unseen), tuple(unseen[:NAMED]))


def _copies(data: Data, task: Task, prints: _Prints, namer: _Namer) -> Iterable[Problem]:
    """Exact and near duplicates, the same example under two labels, and examples in two splits."""
    numbers = np.asarray(data.raws.numbers)
    exact = near_duplicates.equal(np.unique(prints.digests[numbers], return_inverse=True)[1])
    items = data.observed.items
    if exact:
        count = sum(len(group) for group in exact)
        message = (
            f"{show(count)} of {show(len(data))} {items} hold the same as another ({plural(len(exact), 'group')})."
        )
        hint = "Keep one of each: a copy counts twice, and one on both sides of a split flatters the figures."
        yield _problem("exact_duplicates", message, hint, exact, numbers, namer)
    alike: list[Any] = []
    if prints.likeness is not None and prints.signatures is not None:
        same = {int(member) for group in exact for member in group[1:]}
        able = np.array([i for i in np.flatnonzero(prints.signed[numbers]) if int(i) not in same], dtype=np.int64)
        if len(able):
            found = near_duplicates.near_duplicates(prints.signatures[numbers[able]], prints.likeness)
            alike = [able[np.array(group)] for group in found]
    if alike:
        count = sum(len(group) for group in alike)
        message = f"{show(count)} of {show(len(data))} {items} are much like another ({plural(len(alike), 'group')})."
        hint = "Look at them: near copies on both sides of a split flatter the figures."
        yield _problem("near_duplicates", message, hint, alike, numbers, namer)
    if data.labels is not None:
        labels = [task.show(label) for label in data.labels]
        torn = [group for group in exact if len({labels[i] for i in group}) > 1]
        if torn:
            names = " and ".join(f"'{label}'" for label in sorted({labels[i] for i in torn[0]})[:3])
            message = (
                f"{show(sum(map(len, torn)))} {items} hold the same under different labels "
                f"({plural(len(torn), 'group')}); the first: {namer(int(numbers[torn[0][0]]))} is {names}."
            )
            yield _problem("conflicting_labels", message, "Decide for one label of each.", torn, numbers, namer)
    if data.splits is not None:
        splits = data.splits
        leaks = [group for group in [*exact, *alike] if len({splits[i] for i in group}) > 1]
        if leaks:
            held = {int(i) for group in leaks for i in group if splits[i] != "train"}
            message = (
                f"{show(len(held))} {items} of the validation or test split stand in another split too, the same or "
                f"nearly ({plural(len(leaks), 'group')})."
            )
            hint = "Remove them from one side: figures on what was trained on say nothing."
            yield _problem("leakage", message, hint, leaks, numbers, namer, count=len(held))


def _problem(
    kind: str,
    message: str,
    hint: str,
    groups: Sequence[Any],
    numbers: Any,
    namer: _Namer,
    count: int | None = None,
) -> Problem:
    shown = tuple(tuple(int(n) for n in numbers[np.array(group)][:NAMED]) for group in groups[:NAMED])
    names = tuple(" = ".join(namer(number) for number in group[:3]) for group in shown)
    return Problem(kind, message, hint, sum(map(len, groups)) if count is None else count, names, shown)
