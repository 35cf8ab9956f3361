"""The one training loop: gradient steps on accelerate, able to go on after any kill as if there was none.

It trains whatever a `Trainable` gives the loss of: a graft on labelled data (`fine_tuning`), a network under an
objective (`graftwork.pretraining`). Everything that chance decides follows from the seed and the number of the step, so
nothing of it has to be kept: the order of the examples from the seed and the epoch, dropout from the seed and the step,
augmentation from the seed, the epoch and the example.
"""

from __future__ import annotations

import contextlib
import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graftwork.errors import Diverged, OutOfMemory
from graftwork.features.examples import Examples
from graftwork.models.transfer import own_stream
from graftwork.runtime import processes
from graftwork.runtime.parallel import prefetch_map
from graftwork.runtime.stopping import Asked, Stopped, asked_to_stop
from graftwork.specs.settings import Decided, Settings, factor
from graftwork.training.checkpoints import Unfinished
from graftwork.training.logs import Logs
from graftwork.training.optimizers import make_optimizer
from graftwork.training.progress import Progress, Row, TrainState
from graftwork.training.sampling import MicroBatch, divide, order
from graftwork.training.step_graphs import Inputs, StepGraphs
from graftwork.training.steps import out_of_memory, seed_step

if TYPE_CHECKING:
    from accelerate import Accelerator


LAG = 1
"""Steps that a GPU may be ahead of the figures that are read, so that it never waits for the program."""


@dataclass(frozen=True)
class _Step:
    """A step that was taken. number: of steps so far; numbers: its examples; loss, norm: on the device."""

    epoch: int
    number: int
    numbers: Sequence[int]
    loss: Tensor
    norm: Tensor | float


class Trainable(ABC):
    """A model, its data and its loss, as the loop trains them.

    module: holds all that trains, on its device. examples, numbers: what there is to read, and those to train on.
    weights: how much each of these counts in the loss. labels: a key of each, for balanced sampling; may be empty.
    columns: the figures of `evaluate` that are logged, and under which names. metric: the one that a watcher is told.
    guessing: the loss of knowing nothing, beyond which it may not explode; infinite where there is no such number.
    begun: whether the last validation found anything at all, as a CTC head does after many epochs only.
    key: greater for the row of a better validation, whose weights come back in the end; None, and the last ones stay.
    rates: the options that say the learning rates, with their values.
    evaluate_first: whether there is a validation before the first step. save_last: whether the last step is kept in a
    checkpoint, since much follows that may fail.
    """

    module: nn.Module
    examples: Examples
    numbers: Sequence[int]
    weights: Mapping[int, float]
    labels: Mapping[int, Hashable]
    columns: Mapping[str, str]
    metric: str
    rates: Mapping[str, float]
    key: Callable[[Row], Any] | None = None
    guessing: float = math.inf
    begun: bool = True
    evaluate_first: bool = False
    save_last: bool = False

    @abstractmethod
    def param_groups(self, epoch: int) -> list[dict[str, Any]] | None:
        """The optimizer's groups (see `steps.param_groups`) in an epoch; None where they are those of the one before.

        Called for every epoch up to the current one, in order, also where training goes on.
        """

    def clip_order(self, groups: Sequence[Mapping[str, Any]]) -> list[nn.Parameter]:
        """The parameters of these groups, in the order in which the norm of their gradients is summed."""
        return [parameter for group in groups for parameter in group["params"]]

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Every tensor that training changes in any epoch, by a name of its own: what a checkpoint holds."""

    @abstractmethod
    def load(self, numbers: Sequence[int], epoch: int | None) -> Any:
        """These examples as an epoch of training shows them, or as they are; called in threads, ahead of `loss`."""

    @abstractmethod
    def loss(self, wrapped: nn.Module, loaded: Any, weights: Sequence[float], step: int) -> Tensor:
        """The loss `()` of loaded examples, summed by these weights, which sum to 1 over a step and all processes.

        wrapped: `module` as accelerate gives it out, to be called where several processes share gradients.
        """

    def inputs(self, loaded: Any, weights: Sequence[float]) -> Inputs | None:
        """All that differs between the losses of batches of one shape, as tensors on the device: a GPU may then replay
        what it did for another such batch. None where more than tensors differs."""
        return None

    def loss_of(self, wrapped: nn.Module, inputs: Inputs) -> Tensor:
        """`loss` of what `inputs` gave, for those that give any."""
        raise AssertionError("a loss of batches that differ in more than tensors")

    @abstractmethod
    def evaluate(self, step: int) -> dict[str, float]:
        """The figures of the validation part, after so many steps. Leaves the module in training mode."""

    @abstractmethod
    def less_memory(self, fits: int) -> str:
        """Options that need less memory, where no more than `fits` examples (0: not even one) do."""


class TrainingLoop:
    """One training: its optimizer, and where it stands.

    unfinished: where checkpoints and logs go; resume: go on from the last of them. watch: is called after each step and
    each validation.
    """

    def __init__(
        self,
        trainable: Trainable,
        decided: Decided,
        settings: Settings,
        accelerator: Accelerator,
        *,
        seed: int,
        precision: str,
        unfinished: Unfinished | None = None,
        resume: bool = False,
        watch: Callable[[Progress], None] | None = None,
    ) -> None:
        self.trainable, self.decided, self.settings, self.accelerator = trainable, decided, settings, accelerator
        self.seed, self.precision, self.resume = seed, precision, resume
        self.unfinished = unfinished
        self.watch = watch if processes.is_main_process() else None
        self.wrapped = trainable.module
        self.optimizer: Any = None
        self.clipped: list[nn.Parameter] = []
        self.best: dict[str, Tensor] = {}
        self.state = TrainState()
        self.saved = time.monotonic()
        self.unread: deque[_Step] = deque()
        self.lag = 0 if accelerator.device.type == "cpu" else LAG
        self.graphs: StepGraphs | None = None
        self.asked = Asked()

    def run(self) -> TrainState:
        """Train to the end, and leave the best weights in the module. Raises `Diverged` and `OutOfMemory`."""
        with own_stream(self.accelerator.device), asked_to_stop() as self.asked:
            return self._run()

    def _run(self) -> TrainState:
        self._restore()
        state, per_epoch = self.state, self.decided.steps_per_epoch
        with Logs.of(self.settings, self.unfinished, self.trainable.columns.values(), state.step) as self.log:
            if not state.history and self.trainable.evaluate_first:
                self._evaluate(0)
            while state.step < self.decided.steps and not state.out_of_patience(self.settings.patience):
                self._follow(state.step // per_epoch)
                self._epoch(state.step // per_epoch)
        self._put(self.best)
        return state

    def _follow(self, epoch: int) -> None:
        """Let the optimizer hold exactly what trains in an epoch; it forgets nothing of what goes on."""
        groups = self.trainable.param_groups(epoch)
        if groups is None:
            return
        old = {} if self.optimizer is None else self.optimizer.state
        optimizer = make_optimizer(self.settings.optimizer, groups)
        optimizer.state.update({p: old[p] for group in groups for p in group["params"] if p in old})
        self.accelerator.free_memory()
        module = self.accelerator.unwrap_model(self.wrapped, keep_fp32_wrapper=False)
        self.wrapped, self.optimizer = self.accelerator.prepare(module, optimizer)
        self.clipped = self.trainable.clip_order(groups)
        self.graphs = StepGraphs() if self._replays() else None

    def _replays(self) -> bool:
        """Whether steps may be replayed: on one GPU, where nothing but the batch differs between them."""
        alone = self.accelerator.device.type == "cuda" and processes.count() == 1
        return alone and self.accelerator.scaler is None and not self.settings.recompute

    # Steps.

    def _epoch(self, epoch: int) -> None:
        trainable, state, settings = self.trainable, self.state, self.settings
        sizes = dict(zip(trainable.numbers, trainable.examples.sizes(trainable.numbers), strict=True))
        steps = order(
            trainable.numbers, trainable.labels, sizes, self.decided.batch_size, settings.balance,
            f"{self.seed} {epoch}",
        )  # fmt: skip
        begin = epoch * self.decided.steps_per_epoch

        def load(numbers: list[int]) -> tuple[list[int], list[tuple[MicroBatch, Any]]]:
            parts = divide(numbers, trainable.weights, settings.accumulate)
            return numbers, [(part, trainable.load(part.numbers, epoch)) for part in parts]

        trainable.module.train()
        self.begun = time.perf_counter()
        for numbers, parts in prefetch_map(load, steps[state.step - begin :]):
            loss, norm = self._step(parts)
            self.unread.append(_Step(epoch, state.step, numbers, loss, norm))
            ends = state.step == begin + self.decided.steps_per_epoch
            self._read(0 if ends or self._due() else self.lag)
            if ends:
                self._evaluate(epoch + 1)
            if self.asked.number:
                self._stop()
            self._save()
            self.begun = time.perf_counter() if not self.lag or ends else self.begun

    def _read(self, leave: int) -> None:
        """Check and report the steps whose figures have not been read, all but the last `leave` of them. Only here does
        the program wait for the device. Raises `Diverged`."""
        while len(self.unread) > leave:
            step = self.unread.popleft()
            loss, norm = float(step.loss), float(step.norm)
            self._check(step, loss)
            now = time.perf_counter()
            self._report(step, loss, norm, now - self.begun)
            self.begun = now

    def _step(self, parts: list[tuple[MicroBatch, Any]]) -> tuple[Tensor, Tensor | float]:
        """Compute and take a step. Returns its loss and the norm of its gradient, `()` each, on the device."""
        seed_step(self.seed, self.state.step)
        share = factor(self.state.step, self.decided.steps, self.settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        loss = torch.zeros((), device=self.accelerator.device)
        for place, (part, loaded) in enumerate(parts):
            last = place == len(parts) - 1
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.wrapped):
                loss += self._backward(part, loaded)
        whole: Any = self.accelerator.reduce(loss, "sum")
        norm = self.accelerator.clip_grad_norm_(self.clipped, self.settings.clip or math.inf)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=self.graphs is None)
        self.state.step += 1
        return whole, norm if norm is not None else math.nan

    def _backward(self, part: MicroBatch, loaded: Any) -> Tensor:
        """Add the gradients of a part of a step. Raises `OutOfMemory` with the size that would fit."""
        try:
            return self._gradients(loaded, part.weights)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
        count = len(part.numbers)
        while count > 1:
            count //= 2
            with contextlib.suppress(torch.OutOfMemoryError, RuntimeError):
                self._gradients(self.trainable.load(part.numbers[-count:], None), part.weights[-count:])
                raise OutOfMemory(
                    f"A batch of {len(part.numbers)} does not fit in memory; one of {count} does.",
                    f"Write: {self.trainable.less_memory(count)}",
                )
        raise OutOfMemory("Not even a batch of 1 fits in memory.", f"Write: {self.trainable.less_memory(0)}")

    def _gradients(self, loaded: Any, weights: Sequence[float]) -> Tensor:
        inputs = self.trainable.inputs(loaded, weights) if self.graphs else None
        if self.graphs and inputs is not None:
            return self.graphs(lambda given: self._backward_of(self.trainable.loss_of(self.wrapped, given)), inputs)
        return self._backward_of(self.trainable.loss(self.wrapped, loaded, weights, self.state.step))

    def _backward_of(self, loss: Tensor) -> Tensor:
        # Processes average their gradients; here they are summed, since the weights of all of them sum to 1.
        self.accelerator.backward(loss * processes.count())
        return loss.detach()

    def _check(self, step: _Step, loss: float) -> None:
        """Raises `Diverged` for a loss that is not finite or has exploded."""
        state = self.state
        if state.record_loss(loss, self.trainable.guessing, step.number):
            return
        names = [self.trainable.examples.name(number) for number in step.numbers]
        shown = ", ".join(f"'{name}'" for name in names[:5])
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        became = f"rose to {loss:.1f} (it began at {state.first:.1f})" if math.isfinite(loss) else f"became {loss}"
        lower = " ".join(f"{option} {rate / 10:.1g}" for option, rate in self.trainable.rates.items())
        raise Diverged(
            f"The loss {became} at step {step.number}, whose batch is {shown}{more}.",
            f"Look at these examples, or lower the rates: {lower}"
            + ("" if self.precision == "fp32" else " --precision fp32"),
        )

    # Validation, and saying where it stands.

    def _evaluate(self, epoch: int) -> None:
        """Validate, and keep the weights that are better than all before."""
        trainable, state = self.trainable, self.state
        figures = trainable.evaluate(state.step)
        row: Row = {"epoch": epoch, **figures}
        if state.record_validation(row, trainable.key, trainable.begun):
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in trainable.tensors().items()}
        logged = {column: figures[name] for name, column in trainable.columns.items()}
        self.log(step=state.step, epoch=epoch, **logged)
        if self.watch and epoch:
            self.watch(self._progress(epoch - 1, row["loss"], 0.0, 0, done=True))

    def _report(self, step: _Step, loss: float, norm: float, took: float) -> None:
        state, size = self.state, len(step.numbers)
        state.seen += size
        state.loss += loss * size
        lr = self.decided.lr * factor(step.number - 1, self.decided.steps, self.settings.warmup)
        per_second = size / took
        self.log(step=step.number, epoch=step.epoch + 1, loss=loss, lr=lr, grad_norm=norm, examples_per_s=per_second)
        if self.watch:
            self.watch(self._progress(step.epoch, state.running, lr, per_second))

    def _progress(self, epoch: int, loss: float, lr: float, per_second: float, done: bool = False) -> Progress:
        state, decided, metric = self.state, self.decided, self.trainable.metric
        left = (decided.steps - state.step) * decided.batch_size
        return Progress(
            epoch + 1, decided.epochs, state.step, decided.steps, loss, lr, per_second,
            left / per_second if per_second else 0.0, metric,
            state.history[-1].get(metric) if state.history else None, done,
        )  # fmt: skip

    # Checkpoints.

    @torch.no_grad()
    def _put(self, tensors: Mapping[str, Tensor]) -> None:
        now = self.trainable.tensors()
        for name, tensor in tensors.items():
            now[name].copy_(tensor)

    def _due(self) -> bool:
        """Whether a checkpoint is: the last is old enough."""
        if self.unfinished is None or not processes.is_main_process():
            return False
        last = self.trainable.save_last and self.state.step == self.decided.steps
        return last or time.monotonic() - self.saved >= self.settings.checkpoint_every

    def _stop(self) -> None:
        """Keep what was done, and end. Raises `Stopped`."""
        self._read(0)
        done = f"Stopped after step {self.state.step} of {self.decided.steps}"
        if self.unfinished is None:
            raise Stopped(f"{done}; nothing of it is kept.", "A fit with --out keeps it.", self.asked.number)
        if processes.is_main_process():
            self._write(self.unfinished)
        hint = f"Go on: graftwork {self.unfinished.what} ... --resume"
        raise Stopped(f"{done}, which '{self.unfinished.folder}' keeps.", hint, self.asked.number)

    def _save(self) -> None:
        """Write a checkpoint where one is due and every step has been read."""
        if not self.unread and self._due() and self.unfinished is not None:
            self._write(self.unfinished)

    def _write(self, unfinished: Unfinished) -> None:
        tensors = {
            f"now/{name}": tensor.detach().cpu().contiguous() for name, tensor in self.trainable.tensors().items()
        }
        tensors |= {f"best/{name}": tensor.contiguous() for name, tensor in self.best.items()}
        for name, parameter in self._named().items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{key}/{name}"] = value.detach().cpu().contiguous()
        scaler = self.accelerator.scaler
        state = {**asdict(self.state), "scaler": scaler.state_dict() if scaler is not None else None}
        unfinished.save(self.state.step, state, tensors)
        self.saved = time.monotonic()

    def _named(self) -> dict[str, nn.Parameter]:
        """The parameters in the optimizer, by group and name."""
        groups = self.optimizer.param_groups
        return {name: p for group in groups for name, p in zip(group["names"], group["params"], strict=True)}

    def _restore(self) -> None:
        """Go on from the last checkpoint, where one is asked for and there is one."""
        found = self.unfinished.last() if self.unfinished is not None and self.resume else None
        if found is None:
            return
        scaler = found.state.pop("scaler")
        self.state = TrainState(**found.state)
        per_epoch = self.decided.steps_per_epoch
        for epoch in range(min(math.ceil(self.state.step / per_epoch), self.decided.epochs)):
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
            self.optimizer.state[named[parameter]][key] = tensor.to(self.accelerator.device)
        if scaler is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(scaler)
