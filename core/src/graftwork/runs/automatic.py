"""What a fit leaves open, decided by measurements on its training examples: the encoder, and what is trained of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from graftwork.data.reading import Data
from graftwork.data.splits import folds, labelled, sample
from graftwork.data.streaming import Stream
from graftwork.errors import DataError, UsageError
from graftwork.features.extraction import Cache
from graftwork.features.store import opened, temporary
from graftwork.plugins import registry
from graftwork.runs.depths import SAMPLE, choose_depth
from graftwork.runs.planning import FitRequest, resolve
from graftwork.runs.rank import candidates, rank
from graftwork.runs.steps import Fit, augment, encode, extract, load, solve, train_by_steps
from graftwork.specs.backbone import BackboneSpec
from graftwork.specs.settings import Settings
from graftwork.tasks.dense import DenseTask
from graftwork.tasks.task import Task, load_task
from graftwork.training.cross_validation import Scores, pooled, scores
from graftwork.training.progress import Progress
from graftwork.training.trainer import outputs_of, solvable

BUDGET = 300.0
"""Seconds for all measurements, unless others are given."""

FOLDS = 3
"""Of a trial; as many of them are tried as the budget allows."""

LARGE = 80_000_000
"""Parameters from which an encoder is trained by low-rank updates."""

LOOKED = 3
"""Steps after which the time that a training will take is believed."""


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
    tried: list[Tried] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(row) for row in self.tried]


class OutOfBudget(Exception):
    """A training that would take longer than is left."""

    def __init__(self, needed: float) -> None:
        super().__init__(f"{needed:.0f} s")
        self.needed = needed


def decide(request: FitRequest, data: Data | Stream, watch: Callable[[Progress], None] | None = None) -> Decided:
    """Decide what a request leaves to "auto" besides the tap, which the fit itself chooses.

    Raises `UsageError` where nothing can be compared.
    """
    made = Decided(request)
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
    specs, left_out = candidates(data, (), request.adapter)
    if len(specs) == 1:
        name = specs[0].name
        made.tried.append(Tried(f"backbone {name}", None, None, None, 0, 0.0, True, "the only one at hand"))
        made.tried += [Tried(f"backbone {other}", None, None, None, 0, 0.0, False, why) for other, why in left_out]
        made.request = replace(request, backbone=name)
        return
    found = rank(
        data, task=request.task, adapter=request.adapter, sampled=SAMPLE, seed=request.seed, long=request.long,
        precision=request.precision, device=request.device, cache=request.cache, seconds=until - begun,
        target_transform=request.target_transform,
    )  # fmt: skip
    for one in found.candidates:
        first, tie = one is found.first, one.ties_with(found.best)
        why = found.verdict if first else "a tie, and slower" if tie else "a lower score"
        made.tried.append(Tried.of(f"backbone {one.spec.name}", one.depth.scores, one.seconds, first, why))
    for name, reason in found.left_out:
        made.tried.append(Tried(f"backbone {name}", None, None, None, 0, 0.0, False, reason))
    made.request = replace(request, backbone=found.first.spec.name)


def _choose_policy(
    made: Decided, data: Data, task: Task, until: float, watch: Callable[[Progress], None] | None
) -> None:
    """The head alone, unless training the encoder too is better by more than a standard error, as far as the budget
    lets it be tried."""
    request = made.request
    name = request.backbone
    spec = registry.backbone(name) if name else registry.starter(data.modality.name, request.adapter)
    other = "lpft+lora" if spec.parameters > LARGE else "lpft"
    labels = labelled(data.labels)
    places = [i for i in range(len(data)) if data.splits is None or data.splits[i] != "test"]
    strata = task.encode([labels[i] for i in places]).strata
    found: dict[str, list[tuple[Scores, float]]] = {"head": [], other: []}
    short = ""
    try:
        chosen = sample(strata, SAMPLE, request.seed)
        fold = folds([strata[place] for place in chosen], FOLDS, request.seed)
        some = data.at([places[place] for place in chosen])
        for number in range(FOLDS):
            part = replace(some, splits=["test" if one == number else "train" for one in fold])
            spent = max((seconds for _, seconds in found[other]), default=0.0)
            if number and time.perf_counter() + spent > until:
                break
            results = [(freeze, _trial(request, spec, part, freeze, until, watch)) for freeze in found]
            for freeze, result in results:
                found[freeze].append(result)
    except OutOfBudget as error:
        short = f"{error} more were needed for a trial, and the budget of {request.budget:.0f} s has less left"
    except DataError as error:
        short = error.message
    if not found[other]:
        made.tried.append(Tried("freeze head", None, None, None, 0, 0.0, True, f"nothing was compared: {short}"))
        made.tried.append(Tried(f"freeze {other}", None, None, None, 0, 0.0, False, short))
        made.notes.append(f"The head alone is trained, since nothing was compared: {short}.")
        made.request = _with_policy(request, "head")
        return
    both = {freeze: pooled([result for result, _ in results]) for freeze, results in found.items()}
    better, error = both[other].above(both["head"])
    takes = better > error
    said = (
        f"{task.primary.words} {'better' if better > 0 else 'worse'} by {abs(better):.4f}, standard error {error:.4f}"
    )
    for freeze, result in both.items():
        seconds = sum(seconds for _, seconds in found[freeze])
        made.tried.append(
            Tried.of(f"freeze {freeze}", result, seconds, (freeze == other) == takes, said if freeze == other else "")
        )
    made.request = _with_policy(request, other if takes else "head")


def _with_policy(request: FitRequest, freeze: str) -> FitRequest:
    """A request with this policy, without the settings and options that it has no use for."""
    if freeze != "head":
        return replace(request, freeze=freeze, refit=None, c=None)
    settings = {name: getattr(request.settings, name) for name in request.settings.applicable("exact")}
    return replace(request, freeze=freeze, settings=Settings(**settings))


def _trial(
    request: FitRequest, spec: BackboneSpec, data: Data, freeze: str, until: float,
    watch: Callable[[Progress], None] | None,
) -> tuple[Scores, float]:  # fmt: skip
    """What a fit with this policy scores on the test split, and the seconds that it took.

    Raises `OutOfBudget` as soon as it is seen that it will take longer than is left.
    """

    def hurry(at: Progress) -> None:
        if watch:
            watch(at)
        left = until - time.perf_counter()
        if left < 0 or (at.step >= LOOKED and at.seconds_left > left):
            raise OutOfBudget(at.seconds_left)

    begun, notes = time.perf_counter(), []
    asked = replace(_with_policy(request, freeze), backbone=spec.name, out=None)
    plan = resolve(asked, data)
    with opened(request.cache, notes) as kept, nullcontext(kept) if kept else temporary() as store:
        model = load(plan, None)
        fit = Fit(plan, data, model, Cache(store, model.digest), None, hurry)
        encoded = encode(fit, extract(fit))
        if plan.choice == "auto":
            fit, encoded = choose_depth(fit, encoded)
        encoded = augment(fit, encoded)
        outcome = solve(fit, encoded) if plan.exactly else train_by_steps(fit, encoded)
        test = outcome.dataset.split("test")
        outputs = outputs_of(outcome.trained.head, test)
    return scores(plan.task, encoded.known, outputs, test.targets, request.seed), time.perf_counter() - begun
