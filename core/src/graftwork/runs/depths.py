"""Which stages of an encoder the head reads: each, and some joined, compared by cross-validation on features that one
pass gives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from graftwork.data.pipeline import Pipeline
from graftwork.data.reading import MOST_BAD, Data
from graftwork.data.splits import folds, sample
from graftwork.errors import DataError
from graftwork.features.dataset import FeatureDataset
from graftwork.features.examples import Examples
from graftwork.features.extraction import Cache, Extractor
from graftwork.features.results import remembered
from graftwork.features.store import opened, temporary
from graftwork.models.machine import resolve_device
from graftwork.plugins import registry
from graftwork.runs.backbone_cache import load_frozen
from graftwork.runs.planning import FitRequest
from graftwork.runs.steps import Encoded, Fit
from graftwork.runtime import processes
from graftwork.specs.backbone import BackboneSpec
from graftwork.tasks.losses import STATELESS, Loss
from graftwork.tasks.task import Targets, Task
from graftwork.training.coordinates import same_size
from graftwork.training.cross_validation import Scores, cross_validated
from graftwork.training.trainer import convex_loss

FOLDS = 5

SAMPLE = 500
"""Training examples that a stage is chosen by."""


@dataclass(frozen=True, eq=False)
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


def by_stage(spec: BackboneSpec, data: Data, request: FitRequest) -> tuple[list[Tensor], list[int]]:
    """Features `(N, D)` of data after each stage of an encoder, from one pass, and the numbers of their examples."""
    agreement = registry.agree_on(spec, data.observed, request.adapter, convert=request.convert, may_leave_out=MOST_BAD)
    notes: list[str] = []
    with opened(request.cache, notes) as kept, nullcontext(kept) if kept else temporary() as store:
        model = load_frozen(spec)
        pipeline = Pipeline(spec.contract, agreement, data.modality)
        examples = Examples(model.backbone, pipeline, data.raws, long=request.long or data.modality.long)
        taps, device = range(len(spec.stages)), resolve_device(request.device)
        extractor = Extractor(
            model.backbone, tap=taps, precision=request.precision, engine=request.engine, device=device,
            cache=Cache(store, model.digest), calibration=range(len(data)),
        )  # fmt: skip
        found = extractor(examples)
    return list(found.values.split([model.backbone.feature_dim(tap) for tap in taps], 1)), found.kept


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
    found = fit.extractor(range(plan.tap + 1), encoded.extracted.choice)(examples, numbers)
    targets = dataset.targets_of(numbers)
    loss = convex_loss(plan.task, encoded.known, FeatureDataset(None, targets))
    stages = plan.spec.stages

    def compared() -> bytes:
        depths = compare(
            plan.task, encoded.known, loss, found.values.split(widths, 1), targets, fold, joined=plan.exactly
        )
        best = better_than_last(depths)
        return json.dumps([best.taps, [depth.as_json(stages, best) for depth in depths]]).encode()

    if type(loss) in STATELESS and type(plan.task).__module__.startswith("graftwork."):
        task, known = plan.task, encoded.known.as_json()
        about = [task.spec.name, task.transform, task.options, known, fold, widths, stages, plan.exactly]
        made = remembered(fit.cache, "chosen stages", (found.values, targets, json.dumps(about)), compared)
    else:
        made = compared()
    best, depths = processes.broadcast(json.loads(made))
    encoded, taps = replace(encoded, depths=tuple(depths)), tuple(best)
    if taps == plan.taps:
        return fit, encoded
    values = fit.extractor(taps, encoded.extracted.choice)(examples, dataset.numbers).values
    return replace(fit, plan=replace(plan, taps=taps)), replace(encoded, dataset=replace(dataset, values=values))


def compare(
    task: Task, known: Targets, loss: Loss, features: Sequence[Tensor], targets: Tensor, fold: Sequence[int],
    *, joined: bool = True,
) -> list[Depth]:  # fmt: skip
    """Every stage, the last one at the end; where they may be joined, before it the best with the last, and the last
    half and the last third of them.

    features: of the same examples after each stage, `(N, D)` each. fold: of each example.
    """

    def depths(choices: Sequence[tuple[int, ...]]) -> list[Depth]:
        sets = [same_size([features[tap] for tap in taps]) for taps in choices]
        found = cross_validated(task, known, loss, sets, targets, fold)
        return [Depth(taps, one) for taps, one in zip(choices, found, strict=True)]

    singles = depths([(tap,) for tap in range(len(features))])
    last = len(features) - 1
    if not joined or not last:
        return singles
    best = min(singles, key=lambda one: one.scores.losses.mean())
    upper = [tuple(range(last + 1 - -(-(last + 1) // part), last + 1)) for part in (2, 3)]
    groups = sorted({tuple(sorted({*best.taps, last})), *upper})
    return [*singles[:-1], *depths([taps for taps in groups if len(taps) > 1]), singles[-1]]


def better_than_last(depths: Sequence[Depth]) -> Depth:
    """The depth of the least loss where it is surely better than the last stage, else the last stage."""
    best, last = min(depths, key=lambda one: one.scores.losses.mean()), depths[-1]
    return best if best.scores.surely_above(last.scores) else last
