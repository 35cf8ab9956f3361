"""Fine-tuning for tasks whose answers lie in the input."""

from __future__ import annotations

import copy
import heapq
import random
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from graftwork.features.dataset import FeatureDataset, RowBuffer
from graftwork.features.pieces import PieceBatch, PieceExamples, WholeExamples
from graftwork.features.view_cache import ViewCache
from graftwork.freeze import policies
from graftwork.models.reading import Reading, Wanted, view_of
from graftwork.plugins import registry
from graftwork.plugins.code_digest import made_by
from graftwork.runtime import processes
from graftwork.specs.task import RawLabel
from graftwork.tasks.dense import DenseTask, TaskCutter
from graftwork.tasks.heads import Head
from graftwork.tasks.task import Answer, Targets
from graftwork.training import solver
from graftwork.training.dense_model import GraftedView, answers
from graftwork.training.fine_tuning import FineTuning
from graftwork.training.loop import TrainingLoop
from graftwork.training.progress import TrainState
from graftwork.training.trainer import Job, Trained, convex_loss, solvable

SCALER_EXAMPLES = 32
"""How many training examples a fresh head meets before it trains; each has many positions."""
WORST = 12
"""How many examples reports show."""


def wanted(job: Job) -> Wanted:
    """What the head of a job reads."""
    spec = registry.head(job.head)
    return Wanted(spec.reads, job.tap, spec.strides)


def source_of(job: Job, *, labelled: bool = True) -> PieceExamples:
    """The examples of a job in the pieces that its task cuts."""
    assert isinstance(job.task, DenseTask)
    assert isinstance(job.examples, WholeExamples)
    labels = job.labels if labelled else {}
    return PieceExamples(job.examples, TaskCutter(job.task, job.known), wanted(job), labels)


class DenseTuning(FineTuning):
    """As `FineTuning`, of a head that reads a view of pieces of the examples."""

    model: GraftedView
    validated: Head | None = None
    solution: solver.Solution | None = None

    def _label_keys(self) -> list[Hashable]:
        return [0] * len(self.numbers)

    @property
    def _others(self) -> list[int]:
        return [*self.job.data.splits["validation"], *self.job.data.splits["test"]]

    @property
    def task(self) -> DenseTask:
        assert isinstance(self.job.task, DenseTask)
        return self.job.task

    def _model(self) -> GraftedView:
        said, job = self.engine.settings, self.job
        self.source = source_of(job)
        head = self.job.new_head()
        return GraftedView(job.backbone, head, wanted(job), said.dropout, gradient_checkpointing=said.recompute)

    def _activations(self) -> ViewCache | None:
        begin, engine = self.begin, self.engine
        if not begin or (engine.change and not engine.views):
            return None
        self.model.eval()
        end = begin == len(self.model.stages)
        what = self.source.what

        def run(batch: PieceBatch) -> Reading:
            batch = batch.to(engine.device, self.layout)
            with torch.no_grad(), self.accelerator.autocast():
                reading = self.model.read(batch, begin)
                sequence = None
                if what.reads == "sequence":
                    view = view_of(
                        self.model.backbone, self.model.read(replace(batch, reading=reading)), what,
                        [piece.value for piece in batch.pieces],
                    )  # fmt: skip
                    sequence = view.mask.cpu(), view.spans.cpu()  # pyright: ignore[reportAttributeAccessIssue]
            state = None if end and what.reads != "sequence" else reading.state
            used = what.used(reading.maps) if end else reading.maps  # later stages may put others in their place
            maps = {stride: reading.maps[stride].cpu() for stride in used}
            return Reading(state and state.to("cpu"), reading.shape, begin, maps, sequence)

        versions = engine.views.count if engine.views else 0
        changes = made_by(engine.views.modality.augment) if engine.views else ""
        found = ViewCache(self.cache, self.source, begin, run, engine.precision, engine.device, versions, changes)
        return found if self._precomputed(found) else None

    def _start_head(self) -> None:
        """Solved on the frozen encoder where it can be and is asked for, or fresh; either has met some views."""
        job, head = self.job, self.model.head
        asked = job.policy.head_first or self.engine.exact is not None
        if asked and solvable(job.task, registry.head(job.head)):
            self._solve(head)
            return
        self.model.eval()
        loaded = self.load(some_of(self.numbers, job.seed), None)  # autocast would not stack what is kept in fp16
        with torch.no_grad(), self.accelerator.autocast():
            for batch in loaded.parts(self.task.at_once(job.backbone)):
                head.fit_scaler(self.model.view(batch.to(self.engine.device, self.layout)))
                break
        if job.policy.head_first:
            self._train_head_alone()

    def _solve(self, head: Head) -> None:
        """Solve the head; where no step follows, on the validation split too unless that is not wanted."""
        job, exact = self.job, self.engine.exact
        rows = position_rows(self, {name: job.data.splits[name] for name in ("train", "validation")})
        loss, outputs = convex_loss(job.task, job.known, rows), job.task.outputs(job.known)
        train, validation = rows.split("train"), rows.split("validation")
        head.fit_scaler(train.features)
        if exact is None or exact.c is None:
            chosen = solver.choose(train, validation, outputs, loss)
            chosen = solver.solve(train, outputs, chosen.l2, loss, near=chosen)
        else:
            chosen = solver.solve(train, outputs, 1 / (len(train) * exact.c), loss)
        self._take(head, chosen)
        if exact is not None:  # where no step follows, nothing that is chosen here becomes stale
            found = torch.cat([chosen.logits(rows) for _, rows in train.chunks()])
            self.job = replace(job, known=job.task.calibrate(found, train.targets, job.known))
        if exact is not None and exact.refit:
            self.validated = copy.deepcopy(head)
            both = train + validation
            self._take(head, solver.solve(both, outputs, chosen.l2, loss, near=chosen))

    def _take(self, head: Head, solution: solver.Solution) -> None:
        head.load_solution(solution.weight.to(self.engine.device), solution.bias.to(self.engine.device))
        self.solution = solution

    def _train_head_alone(self) -> None:
        """Take the weights of a head that was trained by steps on the frozen encoder, where none can be solved."""
        job = replace(self.job, policy=policies.parse("head"))
        alone = DenseTuning(self.engine, job, self.decided, self.accelerator, self.cache)
        TrainingLoop(
            alone, self.decided, self.engine.settings, self.accelerator, seed=job.seed, precision=self.engine.precision,
            watch=self.engine.watch,
        ).run()  # fmt: skip
        self.model.head.load_state_dict(alone.model.head.state_dict())
        for plan in self.plans[:1]:
            self._follow(plan)

    # Loss and validation.

    def load(self, numbers: Sequence[int], epoch: int | None) -> Any:
        if self.kept is not None:
            return self.kept.batch(numbers, epoch)
        changed = epoch is not None and self.engine.change is not None
        return self.source.batch(numbers, epoch is not None, f"{self.job.seed} {epoch}" if changed else None)

    def loss(self, wrapped: nn.Module, loaded: Any, weights: Sequence[float], step: int) -> Tensor:
        device = self.engine.device
        with self.accelerator.autocast():
            seen = wrapped(loaded.to(device, self.layout))
        labels = [piece.label for piece in loaded.pieces]
        losses = self.task.loss(seen, labels, self.engine.settings.label_smoothing)
        shares = [weights[owner] * share for owner, share in zip(loaded.owners, loaded.weights, strict=True)]
        return (losses * torch.tensor(shares, device=device)).sum()

    def inputs(self, loaded: Any, weights: Sequence[float]) -> None:
        """Labels of positions are no tensors of one shape."""

    def evaluate(self, step: int) -> dict[str, float]:
        metrics = self.judge("validation").metrics
        self.begun = metrics[self.task.primary.name] != metrics.get("nothing")
        self.model.train()
        return self.task.tracked(metrics)

    def judge(self, split: str) -> Judged:
        """The figures of a split, each process answering a part of it, and the worst answers."""
        job, task = self.job, self.task
        found = answers(
            self.model, task, job.known, self.source, processes.mine(list(job.data.splits[split])), self.engine.device,
            load=lambda some: self.load(some, None), autocast=self.accelerator.autocast, layout=self.layout,
        )  # fmt: skip
        if processes.count() > 1:
            together = {number: one for part in processes.all_gather(dict(found)) for number, one in part.items()}
            found = iter(sorted(together.items()))
        return judged(task, job.known, found, job.labels, self.source.examples)

    def trained(self, state: TrainState) -> Trained:
        made = super().trained(state)
        return self.with_figures(made)

    def solved(self) -> Trained:
        assert self.solution is not None, "a head that was solved"
        details = {"l2": self.solution.l2, "converged": self.solution.converged}
        kept = self.kept
        details |= {"precision": self.engine.precision, "states_kept": kept is not None}
        details["states"] = asdict(kept.kept) if kept else None
        made = Trained(self.model.head.cpu().eval(), details, self.validated, known=self.job.known)
        return self.with_figures(made)

    def with_figures(self, made: Trained) -> Trained:
        """With the figures of the splits that were not trained on."""
        head = self.model.head
        self.model.head = (self.validated or head).to(self.engine.device).eval()
        validation = self.judge("validation")
        self.model.head = head.to(self.engine.device).eval()
        metrics = dict(validation.metrics)
        if self.job.data.splits["test"]:
            metrics["test"] = self.judge("test").metrics
        self.model.head.cpu()
        return replace(made, metrics=metrics, worst=validation.worst)


@dataclass(frozen=True)
class Judged:
    """Figures of answers. worst: the numbers of the examples with the worst ones, each with its answer."""

    metrics: dict[str, Any]
    worst: tuple[tuple[int, Answer], ...]


def judged(
    task: DenseTask,
    known: Targets,
    found: Iterable[tuple[int, Answer]],
    labels: Mapping[int, RawLabel],
    examples: WholeExamples,
) -> Judged:
    """The figures of answers by number, compared with the labels of these numbers."""
    scorer, worst = task.scorer(known), []
    for number, answer in found:
        facts = examples.pipeline.reader.facts(examples.raws[number])
        quality = scorer.add(answer, task.truth(labels[number], known, facts))
        worst = heapq.nsmallest(WORST, [*worst, (quality, number, answer)], key=lambda item: item[:2])
    return Judged(scorer.metrics(), tuple((number, answer) for _, number, answer in worst))


def some_of(numbers: Sequence[int], seed: int) -> list[int]:
    """The examples that a fresh head meets."""
    return sorted(random.Random(f"met {seed}").sample(list(numbers), min(SCALER_EXAMPLES, len(numbers))))


def position_rows(tuning: DenseTuning, splits: Mapping[str, Sequence[int]]) -> FeatureDataset:
    """The positions of examples that a head is solved on, as rows of features, each in the split of its example."""
    job, task = tuning.job, tuning.task
    values, targets = RowBuffer(), []
    found: dict[str, list[int]] = {name: [] for name in splits}
    count = 0
    tuning.model.eval()
    for name, numbers in splits.items():
        for start in range(0, len(numbers), SCALER_EXAMPLES):
            loaded = tuning.load(numbers[start : start + SCALER_EXAMPLES], None)
            for batch in loaded.parts(task.at_once(job.backbone)):
                with torch.no_grad(), tuning.accelerator.autocast():
                    view = tuning.model.view(batch.to(tuning.engine.device, tuning.layout))
                rows, wanted_rows = task.rows(view, batch.pieces)
                values.add(rows.float().cpu())
                targets.append(wanted_rows.cpu())
                found[name] += range(count, count + len(rows))
                count += len(rows)
    return FeatureDataset(values.done(), torch.cat(targets), numbers=range(count), splits=found)
