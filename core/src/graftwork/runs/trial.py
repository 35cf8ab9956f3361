"""One fit that is only looked at: what it scores on a part of the data, how it got there, and what it cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from torch import Tensor

from graftwork.data.reading import Data
from graftwork.features.extraction import Cache
from graftwork.features.store import opened, temporary
from graftwork.runs.backbone_cache import Loaded
from graftwork.runs.depths import choose_depth
from graftwork.runs.planning import FitPlan, FitRequest, resolve
from graftwork.runs.steps import Fit, augment, encode, extract, load, read, solve, train_by_steps
from graftwork.specs.settings import Settings
from graftwork.training.cross_validation import Scores, scores
from graftwork.training.progress import Progress
from graftwork.training.trainer import outputs_of

LOOKED = 3
"""Steps after which the time that a training will take is believed."""


class OutOfBudget(Exception):
    """A training that would take longer than is left. needed: seconds."""

    def __init__(self, needed: float) -> None:
        super().__init__(f"{needed:.0f} s")
        self.needed = needed


@dataclass(frozen=True)
class Trial:
    """scores: on the test split. epochs: those on the validation split after each epoch of training by steps."""

    scores: Scores
    seconds: float
    epochs: Sequence[Scores] = ()


def with_policy(request: FitRequest, freeze: str) -> FitRequest:
    """A request with this policy, without the settings and options that it has no use for."""
    if freeze != "head":
        return replace(request, freeze=freeze, refit=None, c=None)
    settings = {name: getattr(request.settings, name) for name in request.settings.applicable("exact")}
    return replace(request, freeze=freeze, settings=Settings(**settings))


def trial(
    request: FitRequest,
    data: Data,
    freeze: str,
    until: float,
    watch: Callable[[Progress], None] | None = None,
    loader: Callable[[FitPlan], Loaded] | None = None,
) -> Trial:
    """Fit with this policy, and judge by the test split of the data.

    until: of `time.perf_counter`. loader: gives the encoder instead of its pretrained weights.

    Raises `OutOfBudget` as soon as it is seen that a training will take longer than that.
    """

    def hurry(at: Progress) -> None:
        if watch:
            watch(at)
        left = until - time.perf_counter()
        if left < 0 or (at.step >= LOOKED and at.seconds_left > left):
            raise OutOfBudget(at.seconds_left)

    begun, notes = time.perf_counter(), []
    validations: list[tuple[Tensor, Tensor]] = []

    def validated(step: int, outputs: Tensor, targets: Tensor) -> None:
        if step:
            validations.append((outputs, targets))

    plan = resolve(replace(with_policy(request, freeze), out=None), data)
    with opened(request.cache, notes) as kept, nullcontext(kept) if kept else temporary() as store:
        model = loader(plan) if loader else load(plan, None)
        fit = Fit(plan, data, model, Cache(store, model.digest), None, hurry, validated)
        encoded = encode(fit, extract(fit) if plan.wants_features else read(fit))
        if plan.choice == "auto":
            fit, encoded = choose_depth(fit, encoded)
        encoded = augment(fit, encoded)
        outcome = solve(fit, encoded) if plan.exactly else train_by_steps(fit, encoded)
        test = outcome.dataset.split("test")
        outputs = outputs_of(outcome.trained.head, test)
    found = scores(plan.task, encoded.known, outputs, test.targets, request.seed)
    epochs = [scores(plan.task, encoded.known, *one, request.seed) for one in validations]
    return Trial(found, time.perf_counter() - begun, epochs)
