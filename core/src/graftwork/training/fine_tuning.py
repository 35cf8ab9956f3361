"""Fine-tuning: a head on an encoder whose stages train by a freeze policy, as the training loop's work."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from graftwork.errors import StoreError
from graftwork.features.activation_cache import ActivationCache
from graftwork.features.examples import Augmentation, AugmentedExamples, Batch, CachedAugmentations, Examples, batches
from graftwork.features.extraction import Cache, Extractor
from graftwork.features.store import temporary
from graftwork.features.view_cache import ViewCache
from graftwork.freeze import freezing
from graftwork.freeze.policies import Plan
from graftwork.models.stages import State
from graftwork.runtime import processes
from graftwork.runtime.parallel import prefetch_map
from graftwork.specs.settings import Decided, Settings, decide
from graftwork.tasks.dense import DenseTask
from graftwork.tasks.heads import Head
from graftwork.tasks.losses import loss_of_each
from graftwork.training import solver
from graftwork.training.accelerator import accelerated, training_precision
from graftwork.training.checkpoints import Unfinished
from graftwork.training.loop import Trainable, TrainingLoop
from graftwork.training.model import Grafted
from graftwork.training.progress import Progress, TrainState
from graftwork.training.sampling import example_weights, label_keys
from graftwork.training.step_graphs import Inputs
from graftwork.training.steps import param_groups
from graftwork.training.trainer import Engine, Job, Trained, convex_loss, solvable, solved

if TYPE_CHECKING:
    from accelerate import Accelerator

SCALER_EXAMPLES = 512
"""How many training examples a fresh head meets before it trains."""


class LoopEngine(Engine):
    """Trains by gradient steps.

    change: augments a training example. precision: "auto", "fp32", "bf16" or "fp16". unfinished: where checkpoints go;
    resume: go on from the last of them. views: the augmentation, where its views are kept. validated: is called at each
    validation with the number of the step, the outputs `(N, K)` and their targets. exact: how the head is solved where
    no step is taken, for tasks whose answers lie in the input; None trains by steps.
    """

    name = "loop"

    def __init__(
        self,
        settings: Settings,
        *,
        wants_features: bool,
        device: torch.device,
        precision: str = "auto",
        change: Augmentation | None = None,
        unfinished: Unfinished | None = None,
        resume: bool = False,
        views: CachedAugmentations | None = None,
        watch: Callable[[Progress], None] | None = None,
        validated: Callable[[int, Tensor, Tensor], None] | None = None,
        exact: Exact | None = None,
    ) -> None:
        self.settings = settings
        self.exact = exact
        self.wants_features = wants_features
        self.device = device
        self.precision = training_precision(precision, device)
        self.change = change
        self.unfinished = unfinished
        self.resume = resume
        self.views = views
        self.watch = watch
        self.validated = validated

    def train(self, job: Job) -> Trained:
        settings = self.settings
        decided = decide(settings, job.task.recipe(job.backbone.spec.recipe), len(job.data.splits["train"]))
        with accelerated(self.device, self.precision) as accelerator, _cache(job) as cache:
            tuning = _tuning(job)(self, job, decided, accelerator, cache)
            if self.exact is not None:
                return tuning.solved()
            state = TrainingLoop(
                tuning, decided, settings, accelerator, seed=job.seed, precision=self.precision,
                unfinished=self.unfinished, resume=self.resume, watch=self.watch,
            ).run()  # fmt: skip
            return tuning.trained(state)


@dataclass(frozen=True)
class Exact:
    """How a head is solved. c: scikit-learn's inverse strength; None chooses it. refit: solve it again on the
    validation split too."""

    c: float | None = None
    refit: bool = True


def _tuning(job: Job) -> type[FineTuning]:
    if isinstance(job.task, DenseTask):
        from graftwork.training.dense_tuning import DenseTuning

        return DenseTuning
    return FineTuning


@contextlib.contextmanager
def _cache(job: Job) -> Iterator[Cache]:
    """Where states are kept: the user's store, or one that goes with the fit."""
    if job.cache is not None:
        yield job.cache
    else:
        with temporary() as store:
            yield Cache(store, "")


class FineTuning(Trainable):
    """The model of a job, the plan of each epoch, and what its frozen stages made of the examples."""

    def __init__(self, engine: LoopEngine, job: Job, decided: Decided, accelerator: Accelerator, cache: Cache) -> None:
        self.engine, self.job, self.decided, self.accelerator, self.cache = engine, job, decided, accelerator, cache
        assert job.examples is not None, "examples that are trained on are read again"
        self.examples, self.numbers, settings = job.examples, list(job.data.splits["train"]), engine.settings
        labels = self._label_keys()
        self.labels = dict(zip(self.numbers, labels, strict=True))
        self.weights = dict(zip(self.numbers, example_weights(labels, settings.balance), strict=True))
        tracked = (job.task.primary.name, job.task.tie_break.name)
        self.metric, self.columns = tracked[0], {name: f"val_{name}" for name in tracked}
        self.guessing = job.task.trivial_loss(job.known)
        self.key = job.task.rank
        self.rates = {"--lr": decided.lr, "--head-lr": decided.head_lr}
        self.evaluate_first = job.policy.head_first
        self.layout = torch.channels_last if job.backbone.channels_last else torch.preserve_format
        torch.manual_seed(job.seed)
        self.module = self.model = self._model().to(engine.device)
        self.plans = [job.policy.plan([s.name for s in self.model.stages], e) for e in range(decided.epochs)]
        self.moving: dict[str, set[str]] = {}
        self.ever: dict[str, set[str]] = {}
        self.notes: list[str] = []
        self.begin = self._frozen_stages()
        self.kept = self._activations()
        self._start_head()

    def trained(self, state: TrainState) -> Trained:
        kept = self.kept
        details = {
            **self.decided._asdict(),
            "steps": state.step,
            "best_epoch": int(state.best["epoch"]),
            "precision": self.engine.precision,
            "processes": processes.count(),
            "states_kept": kept is not None,
            "states": asdict(kept.kept) if kept else None,
            "history": state.history,
        }
        return Trained(
            self.model.head.cpu().eval(),
            details,
            moving=self.moving,
            adapted={entry.stage: entry.lora for entry in self.plans[0].stages if entry.lora},
            notes=tuple(self.notes),
        )

    @property
    def _others(self) -> list[int]:
        """The examples that are read unchanged."""
        return list(self.job.data.splits["validation"])

    def solved(self) -> Trained:
        """The head as it was solved at the start, where no step is to be taken. For heads on a view: those on pooled
        features are solved by `ExactEngine`."""
        raise AssertionError("a head on pooled features, which is solved without a loop")

    # What there is at the start.

    def _label_keys(self) -> list[Hashable]:
        """A key for the label of each training example."""
        return label_keys(self.job.data.targets_of(self.numbers))

    def _model(self) -> Grafted:
        said = self.engine.settings
        return Grafted(
            self.job.backbone, self._head(), self.job.tap, said.dropout, gradient_checkpointing=said.recompute
        )

    def _head(self) -> Head:
        """Solved on the features of the encoder as it is, or fresh; either has met some of them."""
        job = self.job
        if job.policy.head_first and solvable(job.task):
            train, validation = job.data.split("train"), job.data.split("validation")
            outputs, loss = job.task.outputs(job.known), convex_loss(job.task, job.known, train)
            found = solver.choose(train, validation, outputs, loss)
            found = solver.solve(train, outputs, found.l2, loss, near=found)
            return solved(job, found, scaled_by=train.features)
        head = job.new_head()
        some = sorted(random.Random(f"met {job.seed}").sample(self.numbers, min(SCALER_EXAMPLES, len(self.numbers))))
        extractor = Extractor(job.backbone, tap=job.tap, precision="fp32", device=self.engine.device, cache=job.cache)
        found = extractor(self.examples, some)
        head.fit_scaler(found.values)
        return head

    def _frozen_stages(self) -> int:
        """How many stages no epoch trains, before the first that one does."""
        for plan in self.plans:
            self._follow(plan)
        stages = self.model.stages
        begin = next((i for i, stage in enumerate(stages) if self.moving[stage.name]), len(stages))
        self.ever, self.moving = self.moving, {}
        return begin

    def _start_head(self) -> None:
        """Called once what is frozen is kept, for a head that is made of it."""

    def _activations(self) -> ActivationCache | ViewCache | None:
        """States after the stages that no epoch trains, where there are such and there is room for them."""
        begin, stages = self.begin, self.model.stages
        engine, views = self.engine, self.engine.views
        if not begin or (engine.change and not views):
            return None
        self.model.eval()

        def run(batch: Batch) -> State:
            state = batch.to(engine.device, self.layout).state
            with torch.no_grad(), self.accelerator.autocast():
                for stage in stages[:begin]:
                    state = stage(state)
            return state.to("cpu")

        found = ActivationCache(self.cache, self.examples, begin, run, engine.precision, engine.device, views)
        return found if self._precomputed(found) else None

    def _precomputed(self, cache: ActivationCache | ViewCache) -> bool:
        """Whether what is frozen was computed and could be kept, in every process."""
        try:
            why = cache.precompute(self.numbers, self._others)
        except StoreError as error:
            self.cache.store.release_all()
            why = f"{error.message} What is frozen runs in every epoch"
        if why:
            self.notes.append(why)
        return not any(processes.all_gather(why))

    # What trains.

    def _follow(self, plan: Plan) -> dict[str, dict[str, nn.Parameter]]:
        """Follow a plan, and add the tensors that it moves to `moving`."""
        chosen = self.model.follow(plan)
        for stage in self.model.stages:
            self.moving.setdefault(stage.name, set()).update(freezing.may_move(chosen[stage.name]))
        return chosen

    def param_groups(self, epoch: int) -> list[dict[str, Any]] | None:
        plan = self.plans[epoch]
        if epoch and plan == self.plans[epoch - 1]:
            return None
        chosen = self._follow(plan)
        lr, decay = self.decided.lr, self.decided.weight_decay
        groups = []
        for entry in plan.stages:
            groups += param_groups(entry.stage, chosen[entry.stage], lr * entry.rate, decay)
        head = dict(self.model.head.named_parameters())
        return groups + param_groups("head", head, self.decided.head_lr * plan.head_rate, decay)

    def tensors(self) -> dict[str, Tensor]:
        """Those that training changes in any epoch, by stage and name, and those of the head."""
        found = {
            f"{stage.name}.{name}": tensor
            for stage in self.model.stages
            for name, tensor in stage.state_dict(keep_vars=True).items()
            if freezing.plain(name) in self.ever[stage.name]
        }
        return found | {f"head.{name}": t for name, t in self.model.head.state_dict(keep_vars=True).items()}

    def less_memory(self, fits: int) -> str:
        if not fits:
            return "--recompute, or train less: --freeze last:1"
        parts = math.ceil(self.decided.batch_size / processes.count() / fits)
        return f"--accumulate {parts}, which gives the same result in {parts} parts a step, or add --recompute"

    # Loss and validation.

    def load(self, numbers: Sequence[int], epoch: int | None) -> Any:
        if self.kept is not None:
            return self.kept.batch(numbers, epoch)
        examples: Examples = self.examples
        if epoch is not None and self.engine.change is not None:
            examples = AugmentedExamples(
                examples, self.engine.change, lambda number: f"{self.job.seed} {epoch} {number}"
            )
        batch = examples.batch(numbers)
        return replace(batch, state=_pinned(batch.state)) if self.engine.device.type == "cuda" else batch

    def loss(self, wrapped: nn.Module, loaded: Any, weights: Sequence[float], step: int) -> Tensor:
        return self._loss(wrapped, *self._sent(loaded, weights))

    def inputs(self, loaded: Any, weights: Sequence[float]) -> Inputs | None:
        if not self.job.backbone.replayable or loaded.example_index is not None:
            return None
        batch, targets, shares = self._sent(loaded, weights)
        return None if targets.layout != torch.strided else (batch.state.hidden, batch.state.mask, targets, shares)

    def loss_of(self, wrapped: nn.Module, inputs: Inputs) -> Tensor:
        hidden, mask, targets, shares = inputs
        assert hidden is not None
        assert targets is not None
        assert shares is not None
        begin = self.begin if self.kept is not None else 0
        return self._loss(wrapped, Batch(list(range(len(hidden))), State(hidden, mask), begin), targets, shares)

    def _sent(self, loaded: Batch, weights: Sequence[float]) -> tuple[Batch, Tensor, Tensor]:
        """A batch, its targets and their weights on the device."""
        device, targets = self.engine.device, self.job.data.targets_of(loaded.examples)
        return loaded.to(device, self.layout), _sent(targets, device), _sent(torch.tensor(weights), device)

    def _loss(self, wrapped: nn.Module, batch: Batch, targets: Tensor, shares: Tensor) -> Tensor:
        with self.accelerator.autocast():
            outputs = wrapped(batch)
        losses = loss_of_each(self.job.task, outputs.float(), targets, self.engine.settings.label_smoothing)
        return (losses * shares).sum()

    def evaluate(self, step: int) -> dict[str, float]:
        job, numbers = self.job, list(self.job.data.splits["validation"])
        outputs, targets = self._outputs(numbers), job.data.targets_of(numbers)
        if self.engine.validated is not None:
            self.engine.validated(step, outputs, targets)
        return job.task.tracked(job.task.validate(outputs, targets, job.known))

    def _outputs(self, numbers: Sequence[int]) -> Tensor:
        """Outputs of the head for these examples, `(N, K)`, each process computing a part."""
        examples = self.examples
        groups = batches(examples.sizes(numbers), examples.backbone.batch_size)
        groups = [[numbers[place] for place in group] for group in groups]
        self.model.eval()
        found: dict[int, np.ndarray] = {}
        with torch.no_grad(), self.accelerator.autocast():
            for batch in prefetch_map(lambda some: self.load(some, None), processes.mine(groups)):
                rows = self.model(batch.to(self.engine.device, self.layout)).float().cpu().numpy()
                found.update(zip(batch.examples, rows, strict=True))
        self.model.train()
        together = {number: row for part in processes.all_gather(found) for number, row in part.items()}
        return torch.from_numpy(np.stack([together[number] for number in numbers]))


def _pinned(state: State) -> State:
    """The state in memory that a GPU copies from while it computes."""
    return State(state.hidden.pin_memory(), None if state.mask is None else state.mask.pin_memory())


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device; a GPU is not waited for."""
    if device.type == "cuda" and tensor.layout == torch.strided:
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
