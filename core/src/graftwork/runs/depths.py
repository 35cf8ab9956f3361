"""Which stages of an encoder the head reads: each, and some joined, compared by cross-validation on features that one
pass gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from graftwork.data.splits import folds, sample
from graftwork.errors import DataError
from graftwork.features.dataset import FeatureDataset
from graftwork.runs.steps import Encoded, Fit
from graftwork.tasks.losses import Loss
from graftwork.tasks.task import Targets, Task
from graftwork.training.coordinates import coordinates
from graftwork.training.cross_validation import Scores, cross_validated
from graftwork.training.trainer import convex_loss

FOLDS = 5

SAMPLE = 500
"""Training examples that a stage is chosen by."""


@dataclass(frozen=True)
class Depth:
    """One or several stages, and what heads score that read them."""

    taps: tuple[int, ...]
    scores: Scores

    def name(self, stages: Sequence[str]) -> str:
        return "+".join(stages[tap] for tap in self.taps)

    def as_json(self, stages: Sequence[str], chosen: Depth) -> dict[str, Any]:
        low, high = self.scores.interval
        score = self.scores.value
        return {"stage": self.name(stages), "score": score, "low": low, "high": high, "chosen": self is chosen}


def choose_depth(fit: Fit, encoded: Encoded) -> tuple[Fit, Encoded]:
    """A fit whose head reads the stages that serve it best, and its examples with their features; as they are where
    nothing can be compared, with a note."""
    plan, dataset, examples = fit.plan, encoded.dataset, encoded.extracted.examples
    assert plan.targets is not None, "a stream is read once"
    assert examples is not None, "examples that can be read again"
    strata = [plan.targets.strata[number] for number in dataset.splits["train"]]
    try:
        places = sample(strata, SAMPLE, plan.request.seed)
        fold = folds([strata[place] for place in places], FOLDS, plan.request.seed)
    except DataError:
        note = "No label has two training examples, so no stage could be compared with the last, which the head reads."
        return fit, replace(encoded, warnings=(*encoded.warnings, note))
    numbers = [dataset.splits["train"][place] for place in places]
    widths = [fit.model.backbone.feature_dim(tap) for tap in range(plan.tap + 1)]
    found = fit.extractor(range(plan.tap + 1), encoded.extracted.precision)(examples, numbers)
    targets = dataset.targets_of(numbers)
    loss = convex_loss(plan.task, encoded.known, FeatureDataset(None, targets))
    by_stage = found.values.split(widths, 1)
    depths = compare(plan.task, encoded.known, loss, by_stage, targets, fold, joined=plan.exactly)
    best = better_than_last(depths)
    stages = plan.spec.stages
    encoded = replace(encoded, depths=tuple(depth.as_json(stages, best) for depth in depths))
    if best.taps == plan.taps:
        return fit, encoded
    values = fit.extractor(best.taps, encoded.extracted.precision)(examples, dataset.numbers).values
    return replace(fit, plan=replace(plan, taps=best.taps)), replace(encoded, dataset=replace(dataset, values=values))


def compare(
    task: Task, known: Targets, loss: Loss, by_stage: Sequence[Tensor], targets: Tensor, fold: Sequence[int],
    *, joined: bool = True,
) -> list[Depth]:  # fmt: skip
    """Every stage, the last one at the end; where they may be joined, before it the best with the last, and the last
    half and the last third of them.

    by_stage: features of the same examples after each stage, `(N, D)` each. fold: of each example.
    """

    def depth(*taps: int) -> Depth:
        values = torch.cat([by_stage[tap] for tap in taps], 1)
        known_as = FeatureDataset(values, targets)
        values = coordinates(known_as, [by_stage[tap].shape[1] for tap in taps]).of(values)
        return Depth(taps, cross_validated(task, known, loss, values, targets, fold))

    singles = [depth(tap) for tap in range(len(by_stage))]
    last = len(by_stage) - 1
    if not joined or not last:
        return singles
    best = min(singles, key=lambda one: one.scores.losses.mean())
    upper = [tuple(range(last + 1 - -(-(last + 1) // part), last + 1)) for part in (2, 3)]
    groups = sorted({tuple(sorted({*best.taps, last})), *upper})
    return [*singles[:-1], *(depth(*taps) for taps in groups if len(taps) > 1), singles[-1]]


def better_than_last(depths: Sequence[Depth]) -> Depth:
    """The depth of the least loss where it is surely better than the last stage, else the last stage."""
    best, last = min(depths, key=lambda one: one.scores.losses.mean()), depths[-1]
    return best if best.scores.surely_above(last.scores) else last
