"""The steps of a pretraining: seeded one by one, so that one that was killed goes on as if it had not been."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from graftwork.errors import Diverged
from graftwork.features.examples import batches
from graftwork.pretraining.objectives import Given, Objective
from graftwork.runtime.parallel import prefetch_map
from graftwork.specs.settings import Decided, Settings, factor
from graftwork.training.accelerator import accelerated
from graftwork.training.checkpoints import Unfinished
from graftwork.training.logs import Log
from graftwork.training.sampling import order
from graftwork.training.state import Progress
from graftwork.training.steps import param_groups, seed_step

COLUMNS = ["step", "epoch", "loss", "lr", "grad_norm", "examples_per_s", "held_loss"]


@dataclass
class At:
    """Where a pretraining stands."""

    step: int = 0
    loss: float = 0.0
    seen: int = 0
    running: float = math.nan
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass
class Course:
    """One training of an objective. resume: go on from the last checkpoint; watch: is called after each step."""

    objective: Objective
    given: Given
    decided: Decided
    settings: Settings
    seed: int
    precision: str
    unfinished: Unfinished
    resume: bool
    watch: Callable[[Progress], None] | None
    at: At = field(default_factory=At)

    def run(self) -> dict[str, Any]:
        """Returns the figures: the loss in training and on the examples held out, epoch by epoch, and seconds."""
        objective, decided = self.objective, self.decided
        begun = self.saved = time.perf_counter()
        with accelerated(self.given.device, self.precision) as accelerator:
            self.accelerator = accelerator
            objective.to(self.given.device)
            objective.begin()
            named = {name: p for name, p in objective.named_parameters() if p.requires_grad}
            self.named = named
            self.optimizer = torch.optim.AdamW(param_groups("", named, decided.lr, decided.weight_decay), fused=True)
            self._restore()
            self.log = Log(self.unfinished.log, self.at.step, columns=COLUMNS)
            try:
                while self.at.step < decided.steps:
                    self._epoch(self.at.step // decided.steps_per_epoch)
            finally:
                self.log.close()
        objective.eval()
        return {"history": self.at.history, "seconds": round(time.perf_counter() - begun, 1)}

    def _epoch(self, epoch: int) -> None:
        given, decided, at = self.given, self.decided, self.at
        numbers = list(given.train)
        sizes = dict(zip(numbers, given.examples.sizes(numbers), strict=True))
        steps = order(numbers, {}, sizes, decided.batch_size, "none", f"{self.seed} {epoch}")
        self.objective.train()

        def load(some: list[int]) -> tuple[list[int], Any]:
            return some, self.objective.load(some, epoch)

        begun = time.perf_counter()
        for some, loaded in prefetch_map(load, steps[at.step - epoch * decided.steps_per_epoch :]):
            loss, norm = self._step(some, loaded)
            took = time.perf_counter() - begun
            at.loss += loss * len(some)
            at.seen += len(some)
            at.running = loss if math.isnan(at.running) else 0.98 * at.running + 0.02 * loss
            rate = self.optimizer.param_groups[0]["lr"]
            self.log(step=at.step, epoch=epoch + 1, loss=loss, lr=rate, grad_norm=norm, examples_per_s=len(some) / took)
            done = at.step == (epoch + 1) * decided.steps_per_epoch
            if done:
                self._judge(epoch + 1)
            self._tell(epoch, rate, len(some) / took, done)
            self._save(last=at.step == decided.steps)
            begun = time.perf_counter()

    def _step(self, numbers: list[int], loaded: Any) -> tuple[float, float]:
        at, decided, settings = self.at, self.decided, self.settings
        seed_step(self.seed, at.step)
        share = factor(at.step, decided.steps, settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        with self.accelerator.autocast():
            loss, _ = self.objective.loss(loaded, at.step)
        value = float(loss.detach())
        if not math.isfinite(value):
            names = ", ".join(f"'{self.given.examples.name(number)}'" for number in numbers[:5])
            raise Diverged(
                f"The loss became {value} at step {at.step + 1}, whose batch begins with {names}.",
                f"Look at these examples, or lower the rate: --lr {decided.lr / 10:.1g}",
            )
        self.accelerator.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(list(self.named.values()), settings.clip or math.inf)
        self.optimizer.step()
        self.optimizer.zero_grad()
        at.step += 1
        return value, float(norm)

    @torch.no_grad()
    def _judge(self, epoch: int) -> None:
        """Figures on the examples held out, means over them."""
        at, given = self.at, self.given
        numbers = list(given.held)
        found: dict[str, float] = {}
        self.objective.eval()
        for place, group in enumerate(batches(given.examples.sizes(numbers), given.examples.backbone.batch_size)):
            some = [numbers[i] for i in group]
            seed_step(self.seed, -1 - place)
            with self.accelerator.autocast():
                loss, others = self.objective.loss(self.objective.load(some, None), at.step)
            for name, value in {"held_loss": float(loss), **others}.items():
                found[name] = found.get(name, 0.0) + value * len(some) / len(numbers)
        self.objective.train()
        self.at.history.append({"epoch": epoch, "loss": at.loss / at.seen, **found})
        self.log(step=at.step, epoch=epoch, held_loss=found["held_loss"])
        at.loss, at.seen = 0.0, 0

    def _tell(self, epoch: int, rate: float, per_second: float, done: bool) -> None:
        if self.watch is None:
            return
        at, decided = self.at, self.decided
        left = (decided.steps - at.step) * decided.batch_size / per_second
        loss = at.history[-1]["loss"] if done else at.running
        accuracy = at.history[-1].get("accuracy") if at.history else None
        self.watch(
            Progress(epoch + 1, decided.epochs, at.step, decided.steps, loss, rate, per_second, left, accuracy, done)
        )

    # Checkpoints.

    def _save(self, *, last: bool) -> None:
        if not last and time.perf_counter() - self.saved < self.settings.checkpoint_every:
            return
        tensors = {f"now/{name}": t.detach().cpu().contiguous() for name, t in self._held().items()}
        for name, parameter in self.named.items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{key}/{name}"] = value.detach().cpu().contiguous()
        self.unfinished.save(self.at.step, asdict(self.at), tensors)
        self.saved = time.perf_counter()

    def _held(self) -> dict[str, Tensor]:
        """All that the objective holds, tensors of two names once."""
        found = {id(tensor): (name, tensor) for name, tensor in self.objective.state_dict(keep_vars=True).items()}
        return dict(found.values())

    def _restore(self) -> None:
        found = self.unfinished.last() if self.resume else None
        if found is None:
            return
        self.at = At(**found.state)
        now = self._held()
        for name, tensor in found.tensors.items():
            kind, _, rest = name.partition("/")
            if kind == "now":
                with torch.no_grad():
                    now[rest].copy_(tensor)
            else:
                key, _, parameter = rest.partition("/")
                self.optimizer.state[self.named[parameter]][key] = tensor.to(self.given.device)
