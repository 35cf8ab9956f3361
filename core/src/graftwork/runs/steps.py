"""The steps of a fit, in order: functions of frozen values, each of which returns one.

`resolve` (in `planning`), `load`, `extract` or `read`, `encode`, `augment`, `solve` or `train_by_steps`, `evaluate`,
`record` (in `record`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from graftwork.data.pipeline import Pipeline
from graftwork.data.reading import MOST_BAD, Data
from graftwork.data.splits import parts, split
from graftwork.data.streaming import Stream
from graftwork.errors import DataError
from graftwork.features.dataset import FeatureDataset, RowBuffer
from graftwork.features.examples import Examples
from graftwork.features.extract_dataset import Extracted, extract_dataset, scan
from graftwork.features.extraction import Cache, Extractor, Features
from graftwork.features.pieces import WholeExamples
from graftwork.models.engines.runner import Choice
from graftwork.models.machine import available_memory
from graftwork.plugins import registry
from graftwork.reports.shown import ShownExample
from graftwork.runs.backbone_cache import BackboneCache, Loaded, load_frozen
from graftwork.runs.planning import FitPlan
from graftwork.runs.record import certified
from graftwork.specs.agreement import Agreement
from graftwork.specs.contracts import ObservedInput
from graftwork.tasks.dense import DenseTask
from graftwork.tasks.task import Targets
from graftwork.training.checkpoints import Unfinished
from graftwork.training.trainer import ExactEngine, Job, Trained, outputs_of

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.training.fine_tuning import LoopEngine
    from graftwork.training.progress import Progress


@dataclass(frozen=True)
class Fit:
    """What every step of a fit takes: the plan, the data, the encoder, and where features and checkpoints are kept.

    watch, validated: are called after steps, and at each validation of training by steps; see `LoopEngine`.
    """

    plan: FitPlan
    data: Data | Stream
    model: Loaded
    cache: Cache | None
    checkpoints: Unfinished | None = None
    watch: Callable[[Progress], None] | None = None
    validated: Callable[[int, Tensor, Tensor], None] | None = None

    def extractor(self, tap: int | Sequence[int], choice: Choice, *, trained: bool = False) -> Extractor:
        """What computes features. choice: of an engine and a precision, which may be "auto". trained: whether the
        weights are no longer those that were loaded."""
        splits = self.plan.splits or ()
        return Extractor(
            self.model.backbone,
            tap=tap,
            precision=choice.precision,
            engine=choice.engine,
            device=self.plan.device,
            cache=None if trained else self.cache,
            weights="" if trained else self.model.digest,
            calibration=[number for number, name in enumerate(splits) if name == "train"],
            compile=self.plan.request.compile and not trained,
        )


@dataclass(frozen=True)
class Encoded:
    """Examples that were read, with their targets and splits. agreement: on all of them; depths: what each stage gave
    where one was chosen."""

    extracted: Extracted
    agreement: Agreement
    known: Targets
    dataset: FeatureDataset
    warnings: tuple[str, ...] = ()
    depths: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Outcome:
    """A trained head, and the features that it is judged on. certificate: of the stages; taps: the stages that
    the features are of; tried: what each stage that was tried gave; choice: the
    engine and precision that computed them; cosine: see
    `graftwork.features.extraction.Features`. width: of the view that the head reads, where it is not one vector;
    drawn: examples with bad answers, where the engine judges itself."""

    trained: Trained
    certificate: dict[str, Any]
    taps: tuple[int, ...]
    dataset: FeatureDataset
    choice: Choice
    cosine: float | None
    tried: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    width: int | dict[int, int] | None = None
    drawn: Sequence[ShownExample] = ()

    @cached_property
    def validated(self) -> tuple[Tensor, Tensor]:
        """Outputs of the validation split by the head that it judges `(N, K)`, and its targets."""
        validation = self.dataset.split("validation")
        return outputs_of(self.trained.validated or self.trained.head, validation), validation.targets


def load(plan: FitPlan, backbone_cache: BackboneCache | None) -> Loaded:
    """The encoder, frozen, and the digests of its weights."""
    return backbone_cache(plan.spec) if backbone_cache is not None and plan.exactly else load_frozen(plan.spec)


def read(fit: Fit) -> Extracted:
    """Every example read once, and kept in memory as far as there is room; nothing computed."""
    plan, data = fit.plan, fit.data
    assert isinstance(data, Data), "a stream is not trained on by steps"
    pipeline = Pipeline(plan.spec.contract, plan.agreement, data.modality, whole=plan.dense)
    keep, kind = available_memory() // 4, WholeExamples if plan.dense else Examples
    return scan(data, kind(fit.model.backbone, pipeline, data.raws, long=plan.long, keep=keep))


def extract(fit: Fit) -> Extracted:
    """Features after the plan's tap of all examples that can be used."""
    plan = fit.plan
    extractor = fit.extractor(plan.taps, plan.compute)
    keep = 0 if plan.exactly else available_memory() // 4
    return extract_dataset(
        fit.data.chunks(),
        extractor,
        lambda seen: _agreement(fit, seen, chunk=True),
        plan.long,
        plan.request.on_bad,
        keep,
    )


def _agreement(fit: Fit, observed: ObservedInput, *, chunk: bool) -> Agreement:
    """The plan's for data at hand; anew for a stream. chunk: of one chunk any part may be left out."""
    plan, most = fit.plan, MOST_BAD if fit.plan.request.on_bad == "skip" else 0.0
    if isinstance(fit.data, Data):
        return plan.agreement
    may_leave_out = 1.0 if chunk and most else most
    request = plan.request
    return registry.agree_on(plan.spec, observed, request.adapter, convert=request.convert, may_leave_out=may_leave_out)


def encode(fit: Fit, extracted: Extracted) -> Encoded:
    """The targets of the examples that can be used. They are learned from all but the splits for judging on that the
    data bring.

    Raises `DataError` where the data will not do.
    """
    plan, task, labels = fit.plan, fit.plan.task, extracted.labels
    agreement = _agreement(fit, extracted.observed, chunk=False)
    warnings = [*extracted.warnings(plan.request.on_bad), *agreement.warnings]
    targets, splits = plan.targets, plan.splits
    if targets is None or splits is None:
        targets = task.encode(labels)
        splits = split(targets.strata, extracted.splits, plan.request.val, plan.request.seed)
    warnings += targets.notes
    numbers = parts(extracted.kept, splits)
    brought = [part for part in ("validation", "test") if part in (extracted.splits or ())]
    known = task.encode([labels[i] for i in extracted.kept if splits[i] not in brought])
    for part in brought:
        if unseen := task.unknown([labels[i] for i in numbers[part]], known):
            raise DataError(
                f"The {part} split has the label '{unseen[0]}', which no training example has.",
                f"Add training examples, or leave it out: --drop-label '{unseen[0]}'",
            )
    known = task.learn([labels[i] for i in numbers["train"]], known)
    values = task.encode([labels[i] for i in extracted.kept], known).values
    dataset = FeatureDataset(extracted.values, values, numbers=extracted.kept, splits=numbers)
    return Encoded(extracted, agreement, known, dataset, tuple(warnings))


def _job(fit: Fit, encoded: Encoded, taps: tuple[int, ...], dataset: FeatureDataset) -> Job:
    plan = fit.plan
    return Job(
        fit.model.backbone, taps, plan.task, encoded.known, plan.policy, dataset, encoded.extracted.examples,
        plan.request.seed, fit.cache, plan.head.name,
    )  # fmt: skip


# Where the head is solved.


def augment(fit: Fit, encoded: Encoded) -> Encoded:
    """With features of augmented versions of the examples to train on, where a solved head is to see them."""
    if fit.plan.views is None or not fit.plan.exactly or fit.plan.dense:
        return encoded
    dataset, passes = _augmented(fit, encoded.extracted, fit.plan.taps, encoded.dataset)
    extracted, notes = encoded.extracted, [note for found in passes for note in found.notes]
    for found in passes:
        extracted = extracted.counting(found)
    return replace(encoded, extracted=extracted, dataset=dataset, warnings=(*encoded.warnings, *notes))


def _augmented(
    fit: Fit, extracted: Extracted, taps: tuple[int, ...], dataset: FeatureDataset
) -> tuple[FeatureDataset, list[Features]]:
    """A dataset with the rows of augmented versions, and what each pass over them gave."""
    assert fit.plan.views is not None, "augmented versions that were asked for"
    assert extracted.examples is not None, "examples that can be read again"
    extractor = fit.extractor(taps, extracted.choice)
    values, count = RowBuffer(), len(dataset.all_values)
    values.add(dataset.all_values)
    rows: dict[int, list[int]] = {}
    passes = [extractor(view, dataset.splits["train"]) for view in fit.plan.views.of(extracted.examples)]
    for found in passes:
        values.add(found.values)
        for row, number in enumerate(found.kept, count):
            rows.setdefault(number, []).append(row)
        count += len(found.kept)
    return replace(dataset, values=values.done(), augmented=rows), passes


def solve(fit: Fit, encoded: Encoded) -> Outcome:
    """The head solved after the plan's tap; or after every stage up to it, of which the one is kept that is best on the
    validation split by the task's own measure."""
    request = fit.plan.request
    engine = ExactEngine(refit=request.refit is not False, c=request.c, balance=request.settings.balance)
    if fit.plan.choice != "all":
        return _solved_after(fit, encoded, engine, fit.plan.taps)
    task, tried, best = fit.plan.task, [], None
    for tap in range(fit.plan.tap + 1):
        outcome = _solved_after(fit, encoded, engine, (tap,))
        _, metrics = evaluate(fit, encoded.known, outcome)
        tried.append({"tap": fit.plan.spec.stages[tap], **task.tracked(metrics)})
        if best is None or task.rank(metrics) > best[0]:
            best = task.rank(metrics), outcome
    assert best is not None, "an encoder has stages"
    return replace(best[1], tried=tuple(tried))


def _solved_after(fit: Fit, encoded: Encoded, engine: ExactEngine, taps: tuple[int, ...]) -> Outcome:
    extracted, dataset = encoded.extracted, encoded.dataset
    if taps != fit.plan.taps:
        assert extracted.examples is not None, "examples that can be read again"
        features = fit.extractor(taps, extracted.choice)(extracted.examples)
        dataset = replace(dataset, values=features.values, augmented={})
        if fit.plan.views is not None:
            dataset, _ = _augmented(fit, extracted, taps, dataset)
    trained = engine.train(_job(fit, encoded, taps, dataset))
    certificate = certified(trained, fit.model, fit.plan.request.freeze)
    return Outcome(trained, certificate, taps, dataset, extracted.choice, extracted.cosine)


# Where stages train.


def _loop_engine(fit: Fit) -> LoopEngine:
    from graftwork.training.fine_tuning import Exact, LoopEngine

    plan, request = fit.plan, fit.plan.request
    return LoopEngine(
        request.settings,
        wants_features=plan.wants_features,
        device=plan.device,
        precision=request.precision,
        change=plan.change,
        unfinished=fit.checkpoints,
        resume=request.resume,
        views=plan.views,
        watch=fit.watch,
        validated=fit.validated,
        exact=Exact(request.c, request.refit is not False) if plan.dense and plan.exactly else None,
    )


def train_dense(fit: Fit, encoded: Encoded) -> Outcome:
    """Train a head on a view of the encoder, or solve it; the engine judges it too."""
    from graftwork.runs.dense import drawn
    from graftwork.training.dense_model import width_of
    from graftwork.training.dense_tuning import source_of

    plan, checkpoints, examples = fit.plan, fit.checkpoints, encoded.extracted.examples
    assert isinstance(examples, WholeExamples)
    labels = {number: encoded.extracted.labels[number] for number in encoded.extracted.kept}
    job = replace(_job(fit, encoded, plan.taps, encoded.dataset), labels=labels)
    first = source_of(job)
    job = replace(job, width=width_of(first, encoded.dataset.splits["train"]))
    with checkpoints.under_way() if checkpoints else nullcontext():
        trained = _loop_engine(fit).train(job)
        certificate = certified(trained, fit.model, plan.request.freeze)
    notes = (*(checkpoints.notes if checkpoints else ()), *trained.notes)
    choice = Choice("torch", trained.details["precision"])
    assert isinstance(plan.task, DenseTask)
    shown = drawn(plan.task, trained.known or encoded.known, examples, trained, labels)
    return Outcome(
        trained, certificate, plan.taps, encoded.dataset, choice, None, warnings=notes, width=job.width, drawn=shown
    )


def train_by_steps(fit: Fit, encoded: Encoded) -> Outcome:
    """Train, and extract the features that the trained encoder gives of what it is judged on."""
    plan, checkpoints = fit.plan, fit.checkpoints
    engine = _loop_engine(fit)
    with checkpoints.under_way() if checkpoints else nullcontext():
        trained = engine.train(_job(fit, encoded, plan.taps, encoded.dataset))
        certificate = certified(trained, fit.model, plan.request.freeze)
    splits, examples = encoded.dataset.splits, encoded.extracted.examples
    assert examples is not None
    chosen = [number for name in ("validation", "test") for number in splits[name]]
    found = fit.extractor(plan.tap, Choice("torch", plan.compute.precision), trained=True)(examples, chosen)
    kept = set(found.kept)
    left = {name: [number for number in splits[name] if number in kept] for name in ("validation", "test")}
    targets = encoded.dataset.targets_of(found.kept)
    dataset = FeatureDataset(found.values, targets, numbers=found.kept, splits={**splits, **left})
    notes = (*(checkpoints.notes if checkpoints else ()), *trained.notes)
    choice = Choice(found.engine, found.precision)
    return Outcome(trained, certificate, plan.taps, dataset, choice, found.cosine, warnings=notes)


def evaluate(fit: Fit, known: Targets, outcome: Outcome) -> tuple[Targets, dict[str, Any]]:
    """The targets calibrated on the validation split, and the metrics there and on a test split."""
    task, dataset, trained = fit.plan.task, outcome.dataset, outcome.trained
    outputs, targets = outcome.validated
    metrics: dict[str, Any] = task.validate(outputs, targets, known)
    known = task.calibrate(outputs, targets, known)
    if dataset.splits["test"]:
        test = dataset.split("test")
        metrics["test"] = task.metrics(outputs_of(trained.head, test), test.targets, known)
    return known, metrics
