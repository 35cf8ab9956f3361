"""The loop: gradient steps on accelerate, under a freeze policy, and able to go on after any kill as if there was none.

Everything that chance decides follows from the seed and the number of the step, so nothing of it has to be kept: the
order of the examples from the seed and the epoch, dropout from the seed and the step, augmentation from the seed, the
epoch and the example.
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from graftwork.errors import Diverged, OutOfMemory, StoreError
from graftwork.features.activation_cache import ActivationCache
from graftwork.features.examples import Augmentation, AugmentedExamples, Batch, CachedAugmentations, Examples, batches
from graftwork.features.extraction import Cache, Extractor
from graftwork.features.store import temporary
from graftwork.freeze import freezing
from graftwork.freeze.policies import Plan
from graftwork.models.stages import State
from graftwork.runtime import processes
from graftwork.runtime.parallel import prefetch_map
from graftwork.specs.factories import load_factory
from graftwork.specs.settings import Settings, decide, factor
from graftwork.tasks.heads import Head
from graftwork.tasks.metrics import classification
from graftwork.training import solver
from graftwork.training.accelerator import accelerated, training_precision
from graftwork.training.checkpoints import Unfinished
from graftwork.training.logs import Log
from graftwork.training.model import Grafted
from graftwork.training.sampling import Part, divide, example_weights, order
from graftwork.training.state import Progress, Standing
from graftwork.training.steps import out_of_memory, param_groups, seed_step
from graftwork.training.trainer import Engine, Job, Trained, solved

SCALER_EXAMPLES = 512
"""How many training examples a fresh head meets before it trains."""


class LoopEngine(Engine):
    """Trains by gradient steps.

    change: augments a training example. precision: "auto", "fp32", "bf16" or "fp16". unfinished: where checkpoints go;
    resume: go on from the last of them. views: the augmentation, where its views are kept.
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
    ) -> None:
        self.settings = settings
        self.wants_features = wants_features
        self.device = device
        self.precision = training_precision(precision, device)
        self.change = change
        self.unfinished = unfinished
        self.resume = resume
        self.views = views
        self.watch = watch

    def train(self, job: Job) -> Trained:
        with accelerated(self.device, self.precision) as accelerator, _cache(job) as cache:
            return _Fit(self, job, accelerator, cache).run()


@contextlib.contextmanager
def _cache(job: Job) -> Iterator[Cache]:
    """Where states are kept: the user's store, or one that goes with the fit."""
    if job.cache is not None:
        yield job.cache
    else:
        with temporary() as store:
            yield Cache(store, "")


class _Fit:
    """One training: its model, its optimizer, and where it stands."""

    def __init__(self, engine: LoopEngine, job: Job, accelerator: Accelerator, cache: Cache) -> None:
        self.engine, self.job, self.accelerator, self.cache = engine, job, accelerator, cache
        self.settings = settings = engine.settings
        assert job.examples is not None, "examples that are trained on are read again"
        self.examples = job.examples
        self.numbers = list(job.parts["train"])
        self.decided = decide(settings, job.backbone.spec.recipe, len(self.numbers))
        weights = example_weights([job.targets[number] for number in self.numbers], settings.balance)
        self.weights = dict(zip(self.numbers, weights, strict=True))
        self.layout = torch.channels_last if job.backbone.channels_last else torch.preserve_format
        torch.manual_seed(job.seed)
        model = Grafted(job.backbone, self._head(), job.tap, settings.dropout, recompute=settings.recompute)
        self.model = model.to(engine.device)
        self.plans = [job.policy.plan([s.name for s in model.stages], e) for e in range(self.decided.epochs)]
        self.wrapped: nn.Module = self.model
        self.optimizer: Any = None
        self.moving: dict[str, set[str]] = {}
        self.ever: dict[str, set[str]] = {}
        self.best: dict[str, Tensor] = {}
        self.at = Standing()
        self.saved = time.monotonic()
        self.notes: list[str] = []
        self.boundary = self._boundary()

    def run(self) -> Trained:
        self._restore()
        unfinished = self.engine.unfinished if processes.is_main_process() else None
        board = unfinished.folder / "tensorboard" if unfinished and self.settings.tensorboard else None
        self.log = Log(unfinished.log if unfinished else None, self.at.step, board)
        try:
            if not self.at.history and self.job.policy.head_first:
                self._judge(0)
            per_epoch = self.decided.steps_per_epoch
            while self.at.step < self.decided.steps and not self._waited_enough():
                self._follow(self.at.step // per_epoch)
                self._epoch(self.at.step // per_epoch)
        finally:
            self.log.close()
        self._put(self.best)
        return Trained(
            self.model.head.cpu().eval(),
            self._details(),
            moving=self.moving,
            adapted={entry.stage: entry.lora for entry in self.plans[0].stages if entry.lora},
            notes=tuple(self.notes),
        )

    def _details(self) -> dict[str, Any]:
        return {
            **self.decided._asdict(),
            "steps": self.at.step,
            "best_epoch": int(self.at.best["epoch"]),
            "precision": self.engine.precision,
            "processes": processes.count(),
            "states_kept": self.boundary is not None,
            "states": asdict(self.boundary.kept) if self.boundary else None,
            "history": self.at.history,
        }

    def _waited_enough(self) -> bool:
        return 0 < self.settings.patience <= self.at.waited

    # What there is at the start.

    def _head(self) -> Head:
        """Solved on the features of the encoder as it is, or fresh; either has met some of them."""
        job = self.job
        if job.policy.head_first and job.head.convex:
            train, held = job.part("train"), job.part("validation")
            found = solver.choose(train, held, job.classes)
            found = solver.solve(train, job.classes, found.l2, near=found)
            return solved(job.head, found, met=train.features)
        head: Head = load_factory(job.head.factory)(job.backbone.feature_dim(job.tap), job.classes)
        some = sorted(random.Random(f"met {job.seed}").sample(self.numbers, min(SCALER_EXAMPLES, len(self.numbers))))
        extractor = Extractor(job.backbone, tap=job.tap, precision="fp32", device=self.engine.device, cache=job.cache)
        found = extractor(self.examples, some)
        head.fit_scaler(found.values)
        return head

    def _boundary(self) -> ActivationCache | None:
        """States after the stages that no epoch trains, where there are such and there is room for them."""
        for plan in self.plans:
            self._note(plan)
        stages = self.model.stages
        begin = next((i for i, stage in enumerate(stages) if self.moving[stage.name]), len(stages))
        self.ever, self.moving = self.moving, {}
        views = self.engine.views
        if not begin or (self.engine.change and not views):
            return None
        self.model.eval()

        def run(batch: Batch) -> State:
            state = batch.to(self.engine.device, self.layout).state
            with torch.no_grad(), self.accelerator.autocast():
                for stage in stages[:begin]:
                    state = stage(state)
            return state.to("cpu")

        engine = self.engine
        found = ActivationCache(self.cache, self.examples, begin, run, engine.precision, engine.device, views)
        try:
            why = found.precompute(self.numbers, self.job.parts["validation"])
        except StoreError as error:
            self.cache.store.release_all()
            why = f"{error.message} What is frozen runs in every epoch"
        if why:
            self.notes.append(why)
        return None if any(processes.all_gather(why)) else found

    def _batch(self, numbers: Sequence[int], epoch: int | None = None) -> Batch:
        """Examples as they are, or as an epoch of training shows them."""
        if self.boundary is not None:
            return self.boundary.batch(numbers, epoch)
        examples: Examples = self.examples
        if epoch is not None and self.engine.change is not None:
            examples = AugmentedExamples(
                examples, self.engine.change, lambda number: f"{self.job.seed} {epoch} {number}"
            )
        return examples.batch(numbers)

    # Plans, and what trains by them.

    def _note(self, plan: Plan) -> dict[str, dict[str, nn.Parameter]]:
        """Follow a plan, and add the tensors that it moves to `moving`."""
        chosen = self.model.follow(plan)
        for stage in self.model.stages:
            self.moving.setdefault(stage.name, set()).update(freezing.may_move(chosen[stage.name]))
        return chosen

    def _follow(self, epoch: int) -> None:
        """Train by the plan of an epoch: the optimizer holds exactly what trains, and forgets nothing that goes on."""
        plan = self.plans[epoch]
        if self.optimizer is not None and epoch and plan == self.plans[epoch - 1]:
            return
        chosen = self._note(plan)
        lr, decay = self.decided.lr, self.decided.weight_decay
        held = []
        for entry in plan.stages:
            held += param_groups(entry.stage, chosen[entry.stage], lr * entry.rate, decay)
        held += param_groups(
            "head", dict(self.model.head.named_parameters()), self.decided.head_lr * plan.head_rate, decay
        )
        old = {} if self.optimizer is None else self.optimizer.state
        optimizer = torch.optim.AdamW(held, fused=True)
        optimizer.state.update({p: old[p] for group in held for p in group["params"] if p in old})
        self.accelerator.free_memory()
        model = self.accelerator.unwrap_model(self.wrapped, keep_fp32_wrapper=False)
        self.wrapped, self.optimizer = self.accelerator.prepare(model, optimizer)

    # Steps.

    def _epoch(self, epoch: int) -> None:
        seed = f"{self.job.seed} {epoch}"
        examples, per_epoch = self.examples, self.decided.steps_per_epoch
        size, balance = self.decided.batch_size, self.settings.balance
        sizes = dict(zip(self.numbers, examples.sizes(self.numbers), strict=True))
        steps = order(self.numbers, self.job.targets, sizes, size, balance, seed)

        def load(numbers: list[int]) -> tuple[list[int], list[tuple[Part, Batch]]]:
            parts = divide(numbers, self.weights, self.settings.accumulate)
            return numbers, [(part, self._batch(part.numbers, epoch)) for part in parts]

        self.model.train()
        begun = time.perf_counter()
        for numbers, parts in prefetch_map(load, steps[self.at.step - epoch * per_epoch :]):
            loss, norm = self._step(numbers, parts)
            took = time.perf_counter() - begun
            self._report(epoch, loss, norm, len(numbers), took)
            if self.at.step == (epoch + 1) * per_epoch:
                self._judge(epoch + 1)
            self._save()
            begun = time.perf_counter()

    def _step(self, numbers: list[int], parts: list[tuple[Part, Batch]]) -> tuple[float, float]:
        """Compute and take a step. Returns its loss and the norm of its gradient."""
        seed_step(self.job.seed, self.at.step)
        share = factor(self.at.step, self.decided.steps, self.settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        loss = torch.zeros((), device=self.engine.device)
        for place, (part, batch) in enumerate(parts):
            last = place == len(parts) - 1
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.wrapped):
                loss += self._backward(part, batch)
        whole = float(self.accelerator.reduce(loss, "sum"))  # pyright: ignore[reportArgumentType]
        self._check(whole, numbers)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = self.accelerator.clip_grad_norm_(parameters, self.settings.clip or math.inf)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.at.step += 1
        return whole, float(norm if norm is not None else math.nan)

    def _backward(self, part: Part, batch: Batch) -> Tensor:
        """Add the gradients of a part of a step. Raises `OutOfMemory` with the size that would fit."""
        try:
            return self._gradients(batch, part.weights)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
        count = len(part.numbers)
        while count > 1:
            count //= 2
            with contextlib.suppress(torch.OutOfMemoryError, RuntimeError):
                self._gradients(self._batch(part.numbers[-count:]), part.weights[-count:])
                parts = math.ceil(self.decided.batch_size / processes.count() / count)
                raise OutOfMemory(
                    f"A batch of {len(part.numbers)} does not fit in memory; one of {count} does.",
                    f"Write: --accumulate {parts}, which gives the same result in {parts} parts a step, or add "
                    "--recompute",
                )
        raise OutOfMemory("Not even a batch of 1 fits in memory.", "Write: --recompute, or train less: --freeze last:1")

    def _gradients(self, batch: Batch, weights: Sequence[float]) -> Tensor:
        device = self.engine.device
        with self.accelerator.autocast():
            logits = self.wrapped(batch.to(device, self.layout))
        targets = torch.tensor([self.job.targets[number] for number in batch.examples], device=device)
        losses = self.model.head.loss(logits.float(), targets, self.settings.label_smoothing)
        loss = (losses * torch.tensor(weights, device=device)).sum()
        # Processes average their gradients; here they are summed, since the weights of all of them sum to 1.
        self.accelerator.backward(loss * processes.count())
        return loss.detach()

    def _check(self, loss: float, numbers: Sequence[int]) -> None:
        """Raises `Diverged` for a loss that is not finite or has exploded."""
        if self.at.note(loss, self.job.classes):
            return
        names = [self.examples.name(number) for number in numbers]
        shown = ", ".join(f"'{name}'" for name in names[:5])
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        became = f"rose to {loss:.1f} (it began at {self.at.first:.1f})" if math.isfinite(loss) else f"became {loss}"
        lower = f"--lr {self.decided.lr / 10:.1g} --head-lr {self.decided.head_lr / 10:.1g}"
        raise Diverged(
            f"The loss {became} at step {self.at.step + 1}, whose batch is {shown}{more}.",
            f"Look at these examples, or lower the rates: {lower}"
            + ("" if self.engine.precision == "fp32" else " --precision fp32"),
        )

    # Validation, and the best so far.

    def _judge(self, epoch: int) -> None:
        """Validate, and keep the weights that are better than all before."""
        numbers = list(self.job.parts["validation"])
        probabilities = self._probabilities(numbers)
        found = classification(probabilities, np.array([self.job.targets[number] for number in numbers]))
        row = {"epoch": epoch, "accuracy": found["accuracy"], "log_loss": found["log_loss"]}
        if self.at.judge(row):
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in self._moving().items()}
        self.log(step=self.at.step, epoch=epoch, val_accuracy=row["accuracy"], val_log_loss=row["log_loss"])
        if self.engine.watch and processes.is_main_process() and epoch:
            self.engine.watch(self._progress(epoch - 1, row["loss"], 0.0, 0, done=True))

    def _probabilities(self, numbers: Sequence[int]) -> np.ndarray:
        """`(N, K)` for these examples, each process computing a part."""
        examples = self.examples
        groups = batches(examples.sizes(numbers), examples.backbone.batch_size)
        groups = [[numbers[place] for place in group] for group in groups]
        self.model.eval()
        found: dict[int, np.ndarray] = {}
        with torch.no_grad(), self.accelerator.autocast():
            for batch in prefetch_map(self._batch, processes.mine(groups)):
                logits = self.model(batch.to(self.engine.device, self.layout))
                rows = self.model.head.decode(logits.float()).cpu().numpy()
                found.update(zip(batch.examples, rows, strict=True))
        self.model.train()
        together = {number: row for part in processes.all_gather(found) for number, row in part.items()}
        return np.stack([together[number] for number in numbers])

    # Saying where it stands.

    def _report(self, epoch: int, loss: float, norm: float, size: int, took: float) -> None:
        at = self.at
        at.seen += size
        at.loss += loss * size
        lr = self.decided.lr * factor(at.step - 1, self.decided.steps, self.settings.warmup)
        per_second = size / took
        self.log(step=at.step, epoch=epoch + 1, loss=loss, lr=lr, grad_norm=norm, examples_per_s=per_second)
        if self.engine.watch and processes.is_main_process():
            self.engine.watch(self._progress(epoch, at.running, lr, per_second))

    def _progress(self, epoch: int, loss: float, lr: float, per_second: float, done: bool = False) -> Progress:
        left = (self.decided.steps - self.at.step) * self.decided.batch_size
        accuracy = self.at.history[-1]["accuracy"] if self.at.history else None
        return Progress(
            epoch + 1, self.decided.epochs, self.at.step, self.decided.steps, loss, lr, per_second,
            left / per_second if per_second else 0.0, accuracy, done,
        )  # fmt: skip

    # Checkpoints.

    def _moving(self) -> dict[str, Tensor]:
        """Every tensor that training changes in any epoch, by stage and name, and those of the head."""
        found = {
            f"{stage.name}.{name}": tensor
            for stage in self.model.stages
            for name, tensor in stage.state_dict(keep_vars=True).items()
            if freezing.plain(name) in self.ever[stage.name]
        }
        return found | {f"head.{name}": t for name, t in self.model.head.state_dict(keep_vars=True).items()}

    @torch.no_grad()
    def _put(self, tensors: Mapping[str, Tensor]) -> None:
        now = self._moving()
        for name, tensor in tensors.items():
            now[name].copy_(tensor)

    def _save(self) -> None:
        """Write a checkpoint where the last is old enough."""
        unfinished = self.engine.unfinished
        if unfinished is None or not processes.is_main_process():
            return
        if time.monotonic() - self.saved < self.settings.checkpoint_every:
            return
        tensors = {f"now/{name}": tensor.detach().cpu().contiguous() for name, tensor in self._moving().items()}
        tensors |= {f"best/{name}": tensor.contiguous() for name, tensor in self.best.items()}
        for name, parameter in self._named().items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{key}/{name}"] = value.detach().cpu().contiguous()
        scaler = self.accelerator.scaler
        state = {**asdict(self.at), "scaler": scaler.state_dict() if scaler is not None else None}
        unfinished.save(self.at.step, state, tensors)
        self.saved = time.monotonic()

    def _named(self) -> dict[str, nn.Parameter]:
        """The parameters in the optimizer, by group and name."""
        groups = self.optimizer.param_groups
        return {name: p for group in groups for name, p in zip(group["names"], group["params"], strict=True)}

    def _restore(self) -> None:
        """Go on from the last checkpoint, where one is asked for and there is one."""
        unfinished = self.engine.unfinished
        found = unfinished.last() if unfinished is not None and self.engine.resume else None
        if found is None:
            return
        scaler = found.state.pop("scaler")
        self.at = Standing(**found.state)
        per_epoch = self.decided.steps_per_epoch
        for epoch in range(min(math.ceil(self.at.step / per_epoch), self.decided.epochs)):
            self._follow(epoch)
        kinds: dict[str, dict[str, Tensor]] = {"now": {}, "best": {}, "optimizer": {}}
        for name, tensor in found.tensors.items():
            kind, _, rest = name.partition("/")
            kinds[kind][rest] = tensor
        self._put(kinds["now"])
        self.best = kinds["best"]
        named = self._named()
        for name, tensor in kinds["optimizer"].items():
            key, _, parameter = name.partition("/")
            self.optimizer.state[named[parameter]][key] = tensor.to(self.engine.device)
        if scaler is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(scaler)
