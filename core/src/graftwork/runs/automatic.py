"""What a fit leaves open, decided by measurements on its training examples: the encoder, and what is trained of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from graftwork.data.reading import Data
from graftwork.data.splits import folds, labelled, sample
from graftwork.data.streaming import Stream
from graftwork.errors import DataError, UsageError
from graftwork.plugins import registry
from graftwork.runs.depths import SAMPLE
from graftwork.runs.planning import FitRequest
from graftwork.runs.rank import Candidate, candidates, rank
from graftwork.runs.trial import OutOfBudget, Trial, trial, with_policy
from graftwork.tasks.dense import DenseTask
from graftwork.tasks.task import Task, load_task
from graftwork.training.cross_validation import Scores, pooled
from graftwork.training.progress import Progress
from graftwork.training.trainer import solvable

BUDGET = 300.0
"""Seconds for all measurements, unless others are given."""

FOLDS = 3
"""Of a trial; as many of them are tried as the budget allows."""

LARGE = 80_000_000
"""Parameters from which an encoder is trained by low-rank updates."""


@dataclass(frozen=True)
class Tried:
    """One choice that was measured: what ("backbone text/minilm"), its score with the interval, on how many examples,
    what it cost, whether it was taken, and why or why not."""

    what: str
    score: float | None
    low: float | None
    high: float | None
    examples: int
    seconds: float
    chosen: bool
    why: str

    @classmethod
    def of(cls, what: str, found: Scores, seconds: float, chosen: bool, why: str) -> Tried:
        return cls(what, found.value, *found.interval, len(found.losses), round(seconds, 2), chosen, why)


@dataclass
class Decided:
    """The request with nothing left open, what was tried on the way, and what a user should know."""

    request: FitRequest
    told: Callable[[Tried], None] | None = None
    tried: list[Tried] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, row: Tried) -> None:
        self.tried.append(row)
        if self.told:
            self.told(row)

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(row) for row in self.tried]


def decide(
    request: FitRequest,
    data: Data | Stream,
    watch: Callable[[Progress], None] | None = None,
    told: Callable[[Tried], None] | None = None,
) -> Decided:
    """Decide what a request leaves to "auto" besides the tap, which the fit itself chooses. told: is called with each
    choice that was tried.

    Raises `UsageError` where nothing can be compared.
    """
    made = Decided(request, told)
    if "auto" not in (request.backbone, request.freeze):
        return made
    if request.resume:
        raise UsageError(
            "A fit that goes on has its choices behind it, and 'auto' would make them again.",
            "Name what was chosen: --backbone NAME --freeze POLICY",
        )
    task = load_task(request.task, request.target_transform, request.options)
    if isinstance(task, DenseTask) or not solvable(task):
        raise UsageError(
            f"'auto' compares heads that are solved on one vector per example; those of '{request.task}' are not.",
            "Name an encoder and a policy: --backbone NAME --freeze head",
        )
    if isinstance(data, Stream):
        raise UsageError(
            "'auto' looks at the examples again, and --streaming reads them once.", "Leave out one of them."
        )
    until = time.perf_counter() + request.budget
    if request.backbone == "auto":
        _choose_backbone(made, data, task, until)
    if request.freeze == "auto":
        _choose_policy(made, data, task, until, watch)
    return made


def _choose_backbone(made: Decided, data: Data, task: Task, until: float) -> None:
    request, begun = made.request, time.perf_counter()
    specs, left_out = candidates(data, (), request.adapter, request.convert)
    if len(specs) == 1:
        name = specs[0].name
        made.add(Tried(f"backbone {name}", None, None, None, 0, 0.0, True, "the only one at hand"))
        for other, why in left_out:
            made.add(Tried(f"backbone {other}", None, None, None, 0, 0.0, False, why))
        made.request = replace(request, backbone=name)
        return

    def seen(one: Candidate) -> None:
        if made.told:
            made.told(Tried.of(f"backbone {one.spec.name}", one.depth.scores, one.seconds, False, ""))

    found = rank(
        data, task=request.task, adapter=request.adapter, convert=request.convert, sampled=SAMPLE, seed=request.seed,
        long=request.long, precision=request.precision, engine=request.engine, device=request.device,
        cache=request.cache, seconds=until - begun, target_transform=request.target_transform, told=seen,
    )  # fmt: skip
    for one in found.candidates:
        first, tie = one is found.first, one.ties_with(found.best)
        why = found.verdict if first else "a tie, and slower" if tie else "a lower score"
        made.tried.append(Tried.of(f"backbone {one.spec.name}", one.depth.scores, one.seconds, first, why))
    for name, reason in found.left_out:
        made.add(Tried(f"backbone {name}", None, None, None, 0, 0.0, False, reason))
    made.request = replace(request, backbone=found.first.spec.name)


def _choose_policy(
    made: Decided, data: Data, task: Task, until: float, watch: Callable[[Progress], None] | None
) -> None:
    """The head alone, unless training the encoder too is better by more than a standard error, as far as the budget
    lets it be tried."""
    request = made.request
    name = request.backbone
    spec = registry.backbone(name) if name else registry.starter(data.modality.name, request.adapter)
    if spec.parameters == 0:
        made.add(Tried("freeze head", None, None, None, 0, 0.0, True, f"'{spec.name}' has no parameters to train"))
        made.request = with_policy(request, "head")
        return
    other = "lpft+lora" if (spec.parameters or 0) > LARGE else "lpft"
    labels = labelled(data.labels)
    places = [i for i in range(len(data)) if data.splits is None or data.splits[i] != "test"]
    strata = task.encode([labels[i] for i in places]).strata
    found: dict[str, list[Trial]] = {"head": [], other: []}
    short, asked = "", replace(request, backbone=spec.name)
    try:
        chosen = sample(strata, SAMPLE, request.seed)
        fold = folds([strata[place] for place in chosen], FOLDS, request.seed)
        some = data.at([places[place] for place in chosen])
        for number in range(FOLDS):
            part = replace(some, splits=["test" if one == number else "train" for one in fold])
            spent = max((one.seconds for one in found[other]), default=0.0)
            if number and time.perf_counter() + spent > until:
                break
            results = [(freeze, trial(asked, part, freeze, until, watch)) for freeze in found]
            for freeze, result in results:
                found[freeze].append(result)
    except OutOfBudget as error:
        short = f"{error} more were needed for a trial, and the budget of {request.budget:.0f} s has less left"
    except DataError as error:
        short = error.message
    if not found[other]:
        made.add(Tried("freeze head", None, None, None, 0, 0.0, True, f"nothing was compared: {short}"))
        made.add(Tried(f"freeze {other}", None, None, None, 0, 0.0, False, short))
        made.notes.append(f"The head alone is trained, since nothing was compared: {short}.")
        made.request = with_policy(request, "head")
        return
    both = {freeze: pooled([one.scores for one in results]) for freeze, results in found.items()}
    better, error = both[other].above(both["head"])
    takes = better > error
    said = (
        f"{task.primary.words} {'better' if better > 0 else 'worse'} by {abs(better):.4f}, standard error {error:.4f}"
    )
    for freeze, result in both.items():
        seconds = sum(one.seconds for one in found[freeze])
        made.add(
            Tried.of(f"freeze {freeze}", result, seconds, (freeze == other) == takes, said if freeze == other else "")
        )
    made.request = with_policy(request, other if takes else "head")
