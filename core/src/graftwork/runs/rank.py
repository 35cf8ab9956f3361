"""`rank`: candidate encoders, and how deep to read them, by cross-validation on a sample of the data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from graftwork.data.options import SourceOptions
from graftwork.data.pipeline import Pipeline
from graftwork.data.reading import MOST_BAD, Data
from graftwork.data.reading import read as read_source
from graftwork.data.splits import folds, labelled, sample
from graftwork.errors import GraftworkError, InputMismatch, UsageError, WeightsUnavailable
from graftwork.features.dataset import FeatureDataset
from graftwork.features.examples import Examples
from graftwork.features.extraction import Cache, Extractor
from graftwork.features.store import Store, opened, temporary
from graftwork.models.engines.choosing import check_engine
from graftwork.models.engines.runner import Choice
from graftwork.models.machine import resolve_device
from graftwork.models.precision import check_precision
from graftwork.plugins import registry
from graftwork.plugins.faults import faults_have_owners
from graftwork.runs.backbone_cache import load_frozen
from graftwork.runs.depths import FOLDS, Depth, better_than_last, compare
from graftwork.specs.backbone import BackboneSpec
from graftwork.specs.convert import step_names
from graftwork.specs.task import DEFAULT_TASK
from graftwork.tasks.dense import DenseTask
from graftwork.tasks.task import Task, load_task
from graftwork.tasks.transferability import h_score, log_me, neighbours
from graftwork.training.trainer import convex_loss, solvable

SAMPLE = 2000
"""Examples that candidates are compared on, at the most."""

MANY, LEAST = 4, 200
"""Of more candidates, those of the better half go on after a look at half of the sample, which has so many examples."""

TIMED = 16
"""Examples that the time of a pass is measured on."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """An encoder with what heads on it scored. depths: of each stage and of some joined; depth: the one to read.
    sampled: on how many examples; looks: cheap scores of its last stage. seconds_per_example: of one pass; seconds: of
    the comparison."""

    spec: BackboneSpec
    depths: Sequence[Depth]
    depth: Depth
    sampled: int
    seconds_per_example: float
    seconds: float
    looks: dict[str, float] = field(default_factory=dict)

    def ties_with(self, best: Candidate) -> bool:
        """Whether it may be as good: judged on as many examples, with a loss that is higher by no more than one
        standard error of the difference in pairs, which tells more apart than a metric that counts."""
        mine, others = self.depth.scores, best.depth.scores
        return len(mine.losses) == len(others.losses) and not others.lower(mine, 1.0)

    def as_json(self, tie: bool) -> dict[str, Any]:
        low, high = self.depth.scores.interval
        stages, spec = self.spec.stages, self.spec
        return {
            "backbone": spec.name, "tap": self.depth.name(stages), "score": self.depth.scores.value, "low": low,
            "high": high, "tie": tie, "sampled": self.sampled, "seconds_per_example": self.seconds_per_example,
            "parameters": spec.parameters, "size_bytes": spec.weights.size_bytes, "licence": spec.license, **self.looks,
            "depths": [depth.as_json(stages, self.depth) for depth in self.depths],
        }  # fmt: skip


@dataclass(frozen=True)
class Ranking:
    """Candidates, the one to take first: of those that may be as good as the best, the one that reads an example in the
    least time. left_out: names of others, and why each was not compared. interrupted: before all were compared."""

    data: str
    task: Task
    candidates: Sequence[Candidate]
    left_out: Sequence[tuple[str, str]]
    seconds: float
    interrupted: bool = False

    @property
    def first(self) -> Candidate:
        return self.candidates[0]

    @property
    def best(self) -> Candidate:
        """The one of the highest score."""
        return min(self.candidates, key=_order)

    @property
    def verdict(self) -> str:
        first, metric = self.first, self.task.primary
        score = f"{metric.words} {first.depth.scores.value:.3f}"
        where = f"'{first.spec.name}', read after {first.depth.name(first.spec.stages)}"
        ties = [one for one in self.candidates if one.ties_with(self.best)]
        if len(self.candidates) == 1:
            return f"The one candidate is {where}: {score}."
        if len(ties) > 1:
            names = ", ".join(f"'{one.spec.name}'" for one in ties if one is not first)
            return f"A tie with {names}; the fastest of them is {where}: {score}."
        return f"The best is {where}: {score}."

    def as_json(self) -> dict[str, Any]:
        return {
            "data": self.data,
            "task": self.task.spec.name,
            "metric": self.task.primary.name,
            "higher_is_better": self.task.primary.higher_is_better,
            "sampled": max(one.sampled for one in self.candidates),
            "candidates": [one.as_json(one.ties_with(self.best)) for one in self.candidates],
            "left_out": [{"backbone": name, "reason": reason} for name, reason in self.left_out],
            "verdict": self.verdict,
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 2),
        }


@faults_have_owners
def rank(
    data: Any,
    backbones: Sequence[str] = (),
    *,
    task: str = DEFAULT_TASK,
    target_transform: str = "none",
    adapter: str = "",
    convert: str | Sequence[str] = (),
    sampled: int = SAMPLE,
    seed: int = 0,
    long: str | None = None,
    precision: str = "auto",
    engine: str = "auto",
    device: str = "auto",
    cache: bool = True,
    seconds: float = float("inf"),
    told: Callable[[Candidate], None] | None = None,
) -> Ranking:
    """Compare encoders on data: the primary metric of heads solved in five-fold cross-validation, on a sample of what
    may be trained on, after every stage and on some stages joined.

    data: as `graftwork.fit` takes it. backbones: names; left out, all that have their weights on this machine. sampled:
    the most examples. adapter, convert, precision, engine: as `graftwork.fit` takes them, but for int8. seconds: no
    candidate is begun after so many. told: is called with each that was compared.

    Raises `WeightsUnavailable` where no candidate is at hand, `DataError` where nothing can be held out, `UsageError`
    for a task whose head is not solved, and what `graftwork.fit` raises for an encoder that was named.
    """
    begun, judge = time.perf_counter(), load_task(task, target_transform)
    if isinstance(judge, DenseTask) or not solvable(judge):
        raise UsageError(
            f"Encoders are compared by heads that are solved on one vector per example; those of '{task}' are not.",
            "Compare two fits: graftwork fit DATA --backbone NAME",
        )
    check_precision(precision)
    if precision == "int8":
        raise UsageError(
            "--precision int8 is calibrated for one fit; encoders are compared in auto, fp32 or bf16.", "Leave it out."
        )
    check_engine(Choice(engine, precision), resolve_device(device))
    data = (
        data
        if isinstance(data, Data)
        else read_source(data, SourceOptions.of(task=task, backbone=next(iter(backbones), None), adapter=adapter))
    )
    convert = step_names(convert)
    specs, left_out = candidates(data, backbones, adapter, convert)
    labels = labelled(data.labels)
    places = [i for i in range(len(data)) if data.splits is None or data.splits[i] != "test"]
    strata = judge.encode([labels[i] for i in places]).strata
    chosen = sample(strata, sampled, seed)
    data, strata = data.at([places[i] for i in chosen]), [strata[i] for i in chosen]
    folds(strata, FOLDS, seed)  # whether there are any, before an encoder is loaded
    notes: list[str] = []
    interrupted = False
    with opened(cache, notes) as kept, nullcontext(kept) if kept else temporary() as store:
        choice = Choice(engine, precision)
        look = _Look(data, strata, judge, adapter, convert, seed, store, long, choice, resolve_device(device))
        compared, standing = {}, specs
        try:
            for count in _sizes(len(specs), len(data)):
                for spec in standing:
                    if compared and time.perf_counter() - begun > seconds:
                        if spec.name not in compared:
                            left_out += [(spec.name, "the budget was spent before its turn")]
                        continue
                    try:
                        compared[spec.name] = look(spec, count)
                    except GraftworkError as error:
                        if backbones:
                            raise
                        left_out += [(spec.name, str(error))]
                    else:
                        if told:
                            told(compared[spec.name])
                there = sorted((one for one in compared.values() if one.spec in standing), key=_order)
                standing = [one.spec for one in there[: -(-len(there) // 2)]]
        except KeyboardInterrupt:
            if not compared:
                raise
            interrupted = True
    if not compared:
        raise WeightsUnavailable(
            f"No candidate can be used on these data; '{left_out[-1][0]}': {left_out[-1][1]}",
            "Name others: --backbone NAME; see: graftwork backbones",
        )
    return Ranking(data.name, judge, _ranked(compared.values()), left_out, time.perf_counter() - begun, interrupted)


def candidates(
    data: Data, names: Sequence[str], adapter: str, convert: Sequence[str] = ()
) -> tuple[list[BackboneSpec], list[tuple[str, str]]]:  # fmt: skip
    """Encoders to compare, and why others are none. Raises `WeightsUnavailable` where there is none."""
    if names:
        specs = [registry.backbone(name) for name in names]
        for spec in specs:
            registry.agree_on(spec, data.observed, adapter, convert=convert, may_leave_out=MOST_BAD)
        return specs, []
    modality = registry.adapter(adapter).target if adapter else data.modality.name
    found, left_out = [], []
    for spec in registry.backbones(modality):
        if not spec.weights.at_hand:
            left_out.append((spec.name, f"its weights ({megabytes(spec.weights.size_bytes)}) are not on this machine"))
            continue
        try:
            registry.agree_on(spec, data.observed, adapter, convert=convert, may_leave_out=MOST_BAD)
        except InputMismatch as error:
            left_out.append((spec.name, str(error)))
        else:
            found.append(spec)
    if not found:
        registry.starter(data.modality.name, adapter)  # says what could be installed
        raise WeightsUnavailable(
            f"No encoder at hand reads these data; '{left_out[0][0]}': {left_out[0][1]}",
            "Name others: --backbone NAME; see: graftwork backbones",
        )
    return found, left_out


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB".replace(",", " ") if size else "of unknown size"


def _sizes(candidates: int, examples: int) -> list[int]:
    """How many examples candidates are compared on, round by round (successive halving, Jamieson and Talwalkar 2016,
    arXiv:1502.07943)."""
    sizes = [examples]
    while candidates > MANY and sizes[0] >= 2 * LEAST:
        candidates = -(-candidates // 2)
        sizes.insert(0, sizes[0] // 2)
    return sizes


def _order(one: Candidate) -> tuple[int, float]:
    """What was judged on most examples first, then the best."""
    return -one.sampled, -one.depth.scores.sign * one.depth.scores.value


def _ranked(compared: Iterable[Candidate]) -> list[Candidate]:
    found = sorted(compared, key=_order)
    ties = sorted((one for one in found if one.ties_with(found[0])), key=lambda one: one.seconds_per_example)
    return [*ties, *(one for one in found if one not in ties)]


@dataclass(frozen=True)
class _Look:
    """Looks at how an encoder does on some of the examples."""

    data: Data
    strata: Sequence[str]
    task: Task
    adapter: str
    convert: Sequence[str]
    seed: int
    store: Store
    long: str | None
    choice: Choice
    device: torch.device

    def __call__(self, spec: BackboneSpec, count: int) -> Candidate:
        begun, places = time.perf_counter(), sample(self.strata, count, self.seed)
        data, strata = self.data.at(places), [self.strata[place] for place in places]
        agreement = registry.agree_on(spec, data.observed, self.adapter, convert=self.convert, may_leave_out=MOST_BAD)
        model = load_frozen(spec)
        pipeline = Pipeline(spec.contract, agreement, data.modality)
        examples = Examples(model.backbone, pipeline, data.raws, long=self.long or data.modality.long)
        taps = range(len(spec.stages))
        found = Extractor(
            model.backbone,
            tap=taps,
            precision=self.choice.precision,
            engine=self.choice.engine,
            device=self.device,
            cache=Cache(self.store, model.digest),
        )(examples)
        fold = folds([strata[number] for number in found.kept], FOLDS, self.seed)
        labels = labelled(data.labels)
        known = self.task.encode([labels[number] for number in found.kept])
        loss = convex_loss(self.task, known, FeatureDataset(None, known.values))
        by_stage = found.values.split([model.backbone.feature_dim(tap) for tap in taps], 1)
        depths = compare(self.task, known, loss, by_stage, known.values, fold)
        again = Extractor(
            model.backbone, tap=taps, precision=found.precision, engine=found.engine, device=self.device,
            weights=model.digest,
        )  # fmt: skip
        each = _seconds(again, examples, found.kept)
        return Candidate(
            spec,
            depths,
            better_than_last(depths),
            len(found.kept),
            each,
            time.perf_counter() - begun,
            _looks(by_stage[-1], known.values),
        )


def _seconds(extractor: Extractor, examples: Examples, numbers: Sequence[int]) -> float:
    """Of a pass over one example, reading it included."""
    some = numbers[:TIMED]
    extractor(examples, some[:1])
    begun = time.perf_counter()
    extractor(examples, some)
    return (time.perf_counter() - begun) / len(some)


def _looks(features: Tensor, targets: Tensor) -> dict[str, float]:
    """Cheap scores of features; the H-score where targets are whole numbers."""
    found = {"log_me": log_me(features, targets), "neighbours": neighbours(features, targets)}
    return found if targets.is_floating_point() else {**found, "h_score": h_score(features, targets)}
