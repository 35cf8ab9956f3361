"""`compare`: whether transfer helped. Raw input, the same network from nothing, the encoder frozen and tuned, on the
same held-out examples; by epochs, and by the number of examples."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from graftwork.data.options import SourceOptions
from graftwork.data.pipeline import Pipeline
from graftwork.data.reading import MOST_BAD, Data
from graftwork.data.reading import read as read_source
from graftwork.data.splits import folds, labelled, stratified
from graftwork.errors import DataError, UsageError
from graftwork.features.dataset import FeatureDataset
from graftwork.features.examples import Examples
from graftwork.freeze import freezing
from graftwork.models.backbone import load_backbone
from graftwork.models.forget import forget
from graftwork.plugins import registry
from graftwork.plugins.faults import faults_have_owners
from graftwork.plugins.loading import installed
from graftwork.runs.automatic import LARGE
from graftwork.runs.backbone_cache import Loaded
from graftwork.runs.benefits import FROZEN, NOTHING, TUNED, sentences
from graftwork.runs.depths import FOLDS, better_than_last, by_stage
from graftwork.runs.depths import compare as compare_depths
from graftwork.runs.planning import FitPlan, FitRequest
from graftwork.runs.trial import OutOfBudget, Trial, trial
from graftwork.specs.backbone import BackboneSpec
from graftwork.specs.convert import step_names
from graftwork.specs.demo import Demo
from graftwork.specs.factories import load_factory
from graftwork.specs.settings import Settings
from graftwork.specs.task import DEFAULT_TASK
from graftwork.tasks.dense import DenseTask
from graftwork.tasks.task import Targets, Task, load_task
from graftwork.training import solver
from graftwork.training.coordinates import coordinates
from graftwork.training.cross_validation import Scores, scores
from graftwork.training.fold_solver import out_of_fold
from graftwork.training.progress import Progress
from graftwork.training.trainer import convex_loss, solvable

BUDGET = 600.0
HELD_OUT = 0.25
SEEN = 32
"""Examples that the statistics of batch norm are of, where a network begins from nothing."""

SIZES = (8, 16, 32, 64, 128, 256)
"""Training examples of a label."""


@dataclass(frozen=True)
class Comparison:
    """rows: what each way scores on the held-out examples with all training examples. epochs: the scores on validation
    examples after each epoch, of those that train by steps. sizes: by the number of examples for a label. sentences:
    what that means.
    """

    data: str
    backbone: str
    task: Task
    n_train: int
    n_test: int
    rows: Mapping[str, Trial]
    epochs: Mapping[str, Sequence[Scores]]
    sizes: Mapping[str, Sequence[tuple[int, Scores]]]
    notes: Sequence[str] = ()
    seconds: float = 0.0

    @property
    def sentences(self) -> list[str]:
        return [*sentences(self), *self.notes]

    def as_json(self) -> dict[str, Any]:
        return {
            "data": self.data, "backbone": self.backbone, "task": self.task.spec.name,
            "metric": self.task.primary.name, "higher_is_better": self.task.primary.higher_is_better,
            "n_train": self.n_train, "n_test": self.n_test,
            "rows": [{"name": name, **_interval(one.scores), "seconds": round(one.seconds, 2)}
                     for name, one in self.rows.items()],
            "epochs": {name: [{"epoch": number, **_interval(found)} for number, found in enumerate(row, 1)]
                       for name, row in self.epochs.items()},
            "sizes": {name: [{"n": n, **_interval(found)} for n, found in row] for name, row in self.sizes.items()},
            "sentences": self.sentences, "seconds": round(self.seconds, 2),
        }  # fmt: skip


def _interval(found: Scores) -> dict[str, float]:
    low, high = found.interval
    return {"score": found.value, "low": low, "high": high}


@faults_have_owners
def compare(
    data: Any,
    backbone: str | None = None,
    *,
    task: str = DEFAULT_TASK,
    adapter: str = "",
    convert: str | Sequence[str] = (),
    seed: int = 0,
    precision: str = "auto",
    engine: str = "auto",
    device: str = "auto",
    cache: bool = True,
    budget: float = BUDGET,
    watch: Callable[[Progress], None] | None = None,
    told: Callable[[str, Trial], None] | None = None,
    **settings: Any,
) -> Comparison:
    """Compare ways to train on data, each judged by the same held-out examples: the test split of the data, else their
    validation split, else a quarter.

    data, backbone, adapter, convert, precision, engine: as `graftwork.fit` takes them. budget: seconds for what trains
    by steps. told: is called with the name of each way and what it gave. settings: of training by steps, see
    `graftwork.Settings`.

    Raises what `graftwork.fit` raises, and `UsageError` for a task whose head is not solved.
    """
    begun, judge = time.perf_counter(), load_task(task)
    if isinstance(judge, DenseTask) or not solvable(judge):
        raise UsageError(
            f"What is compared are heads that are solved on one vector per example; those of '{task}' are not.",
            "Compare two fits: graftwork fit DATA --freeze head, and --freeze all",
        )
    data = (
        data
        if isinstance(data, Data)
        else read_source(data, SourceOptions.of(task=task, backbone=backbone, adapter=adapter))
    )
    spec = registry.backbone(backbone) if backbone else registry.starter(data.modality.name, adapter)
    registry.agree_on(spec, data.observed, adapter, convert=convert, may_leave_out=MOST_BAD)
    request = FitRequest(
        spec.name, task, seed=seed, precision=precision, engine=engine, device=device, adapter=adapter,
        convert=step_names(convert), cache=cache, settings=Settings.of(settings),
    )  # fmt: skip
    data = _two_parts(data, judge, seed)
    ways = _Ways(request, spec, judge, data, time.perf_counter() + budget, watch, told)
    ways.solved()
    ways.trained()
    train = [word == "train" for word in data.splits or ()].count(True)
    return Comparison(
        data.name, spec.name, judge, train, len(data) - train, ways.rows, ways.epochs, ways.sizes, ways.notes,
        time.perf_counter() - begun,
    )  # fmt: skip


def _two_parts(data: Data, task: Task, seed: int) -> Data:
    """The data with the splits train and test alone."""
    splits = list(data.splits or ["train"] * len(data))
    judged = next((word for word in ("test", "validation") if word in splits), None)
    if judged is None:
        held = stratified(task.encode(labelled(data.labels)).strata, HELD_OUT, seed)
        splits = ["test" if out else "train" for out in held]
    elif judged == "validation":
        splits = ["test" if word == judged else word for word in splits]
    else:
        splits = [word if word == judged else "train" for word in splits]
    return replace(data, splits=splits)


@dataclass
class _Ways:
    """The ways to train, tried one after the other."""

    request: FitRequest
    spec: BackboneSpec
    task: Task
    data: Data
    until: float
    watch: Callable[[Progress], None] | None
    told: Callable[[str, Trial], None] | None
    rows: dict[str, Trial] = field(default_factory=dict)
    epochs: dict[str, Sequence[Scores]] = field(default_factory=dict)
    sizes: dict[str, list[tuple[int, Scores]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def _add(self, name: str, found: Trial) -> None:
        self.rows[name] = found
        if self.told:
            self.told(name, found)

    # Heads that are solved, at every size.

    def solved(self) -> None:
        request, labels = self.request, labelled(self.data.labels)
        begun = time.perf_counter()
        stages, kept = by_stage(self.spec, self.data, request)
        splits = [(self.data.splits or ())[number] for number in kept]
        train = [row for row, word in enumerate(splits) if word == "train"]
        test = [row for row, word in enumerate(splits) if word == "test"]
        if not train or not test:
            raise DataError("No readable example is left to train on or to compare by.", "Mend the data.")
        names = self.task.encode([labels[kept[row]] for row in train])
        known = self.task.learn([labels[kept[row]] for row in train], names)
        targets = self.task.encode([labels[number] for number in kept], known).values
        ways = {FROZEN: stages}
        if demo := _baseline(self.data.modality.name):
            ways = {f"raw input ({demo.baseline_name})": [_raw(demo, self.data, kept)], **ways}
        loaded = time.perf_counter() - begun
        for name, features in ways.items():
            for count in (*(size for size in SIZES if size * _labels(names) < len(train)), None):
                rows = train if count is None else _first(train, names.strata, count)
                begun = time.perf_counter()
                strata = [names.strata[train.index(row)] for row in rows] if count else list(names.strata)
                try:
                    found = self._head(features, targets, known, rows, test, strata)
                except DataError:  # of so few examples nothing can be held out
                    continue
                if count is None:
                    self._add(name, Trial(found, loaded + time.perf_counter() - begun))
                self.sizes.setdefault(name, []).append((count or len(train) // _labels(names), found))

    def _head(
        self, features: Sequence[Tensor], targets: Tensor, known: Targets, train: list[int], test: list[int],
        strata: Sequence[str],
    ) -> Scores:  # fmt: skip
        """What a head scores that is solved on the training examples, after the stages that they choose."""
        fold = folds(strata, FOLDS, self.request.seed)
        some = targets.index_select(0, torch.tensor(train))
        loss, outputs = convex_loss(self.task, known, FeatureDataset(None, some)), self.task.outputs(known)
        depths = compare_depths(self.task, known, loss, [values[train] for values in features], some, fold)
        taps = better_than_last(depths).taps
        values, rows = torch.cat([features[tap] for tap in taps], 1), torch.tensor(train)
        found = coordinates(FeatureDataset(values, some, rows), [features[tap].shape[1] for tap in taps])
        inner = found.of(values)
        (chosen,) = out_of_fold([inner[train]], some, fold, outputs, loss)
        solution = solver.solve(FeatureDataset(inner, some, rows), outputs, chosen.l2, loss)
        judged = targets.index_select(0, torch.tensor(test))
        return scores(self.task, known, solution.logits(inner[test]).double(), judged, self.request.seed)

    # What trains by steps.

    def trained(self) -> None:
        """Tuned and from nothing: with all training examples, each in half of what is left; then with fewer, as far as
        the budget goes."""
        if self.spec.parameters == 0:
            self.notes.append(f"'{self.spec.name}' has no parameters, so nothing but a head on it can train.")
            return
        splits = self.data.splits or ()
        train = [number for number, word in enumerate(splits) if word == "train"]
        test = [number for number, word in enumerate(splits) if word == "test"]
        for parts, name in ((2, TUNED), (1, NOTHING)):
            now = time.perf_counter()
            try:
                found = self._fit(name, self.data, now + (self.until - now) / parts)
            except OutOfBudget as error:
                self.notes.append(
                    f"'{name}' was left out: it would have taken {error} more than its part of the budget."
                )
                continue
            self._add(name, found)
            self.epochs[name] = found.epochs
        labels = labelled(self.data.labels)
        strata = self.task.encode([labels[number] for number in train]).strata
        every = len(train) // len(set(strata))
        for count in (size for size in SIZES if size < every):
            some = self.data.at(sorted([*_first(train, strata, count), *test]))
            for name in (name for name in (TUNED, NOTHING) if name in self.rows):
                with contextlib.suppress(OutOfBudget, DataError):
                    self.sizes.setdefault(name, []).append((count, self._fit(name, some, self.until).scores))
        for name in (name for name in (TUNED, NOTHING) if name in self.rows):
            self.sizes.setdefault(name, []).append((every, self.rows[name].scores))

    def _fit(self, name: str, data: Data, until: float) -> Trial:
        if name == TUNED:
            policy = "lpft+lora" if (self.spec.parameters or 0) > LARGE else "lpft"
            return trial(self.request, data, policy, until, self.watch)
        said = self.request.settings
        request = replace(self.request, settings=replace(said, lr=said.lr or 10 * self.spec.recipe.learning_rate))
        return trial(request, data, "all", until, self.watch, self._from_nothing)

    def _from_nothing(self, plan: FitPlan) -> Loaded:
        """The same network with random weights, and statistics of batch norm that are those of some examples: with
        none, values vanish before training, and the head is fitted to nothing."""
        model = forget(load_backbone(plan.spec), self.request.seed)
        norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        if norms:
            pipeline = Pipeline(plan.spec.contract, plan.agreement, self.data.modality)
            examples = Examples(model, pipeline, self.data.raws, long=plan.long)
            state = examples.batch(list(range(min(len(examples), SEEN)))).state
            usual = [norm.momentum for norm in norms]
            for norm in norms:
                norm.momentum = 1.0
            with torch.no_grad():
                model.train()(state)
            for norm, momentum in zip(norms, usual, strict=True):
                norm.momentum = momentum
        model = model.eval().requires_grad_(False)
        return Loaded(model, freezing.stage_digests(model.stages()))


def _labels(known: Targets) -> int:
    return max(1, len(set(known.strata)))


def _first(rows: Sequence[int], strata: Sequence[str], count: int) -> list[int]:
    """The first so many rows of each stratum; smaller ones are parts of larger ones."""
    seen: dict[str, int] = {}
    found = []
    for row, stratum in zip(rows, strata, strict=True):
        seen[stratum] = seen.get(stratum, 0) + 1
        if seen[stratum] <= count:
            found.append(row)
    return found


def _baseline(modality: str) -> Demo | None:
    """What the modality's demo compares itself with: features of raw input."""
    demos = sorted(installed().registered["demos"].values(), key=lambda demo: demo.name)
    return next((demo for demo in demos if demo.modality == modality and demo.baseline), None)


def _raw(demo: Demo, data: Data, numbers: Sequence[int]) -> Tensor:
    reader = load_factory(data.modality.reader)()
    return torch.from_numpy(load_factory(demo.baseline)([reader.decode(data.raws[n]) for n in numbers])).float()
