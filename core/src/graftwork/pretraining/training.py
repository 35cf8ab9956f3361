"""A pretraining as the training loop's work: the loss is an objective's, and the last weights are those that count."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from graftwork.features.examples import batches
from graftwork.pretraining.objectives import Given, Objective
from graftwork.specs.settings import Decided
from graftwork.training.loop import Trainable
from graftwork.training.steps import param_groups, seed_step


class ObjectiveTraining(Trainable):
    """An objective on its device, begun. A step is one part, since an objective's loss is the mean over it."""

    columns = {"val_loss": "val_loss"}  # noqa: RUF012
    save_last = True

    def __init__(
        self, objective: Objective, given: Given, decided: Decided, accelerator: Accelerator, *, seed: int
    ) -> None:
        self.objective, self.given, self.decided = objective, given, decided
        self.accelerator, self.seed = accelerator, seed
        self.module = objective.to(given.device)
        self.examples, self.numbers = given.examples, list(given.train)
        self.weights = dict.fromkeys(self.numbers, 1.0)
        self.labels: Mapping[int, Hashable] = {}
        self.metric = given.labels.task.primary.name if given.labels else "val_loss"
        self.rates = {"--lr": decided.lr}
        objective.begin()
        self.named = {name: p for name, p in objective.named_parameters() if p.requires_grad}

    def param_groups(self, epoch: int) -> list[dict[str, Any]] | None:
        return None if epoch else param_groups("", self.named, self.decided.lr, self.decided.weight_decay)

    def clip_order(self, groups: Sequence[Mapping[str, Any]]) -> list[nn.Parameter]:
        return list(self.named.values())

    def tensors(self) -> dict[str, Tensor]:
        """All that the objective holds, tensors of two names once."""
        found = {id(tensor): (name, tensor) for name, tensor in self.objective.state_dict(keep_vars=True).items()}
        return dict(found.values())

    def load(self, numbers: Sequence[int], epoch: int | None) -> Any:
        return self.objective.load(numbers, epoch)

    def loss(self, wrapped: nn.Module, loaded: Any, weights: Sequence[float], step: int) -> Tensor:
        with self.accelerator.autocast():
            return self.objective.loss(loaded, step)[0]

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, float]:
        """Means over the validation examples: the objective's loss, and its other figures."""
        numbers, examples = list(self.given.validation), self.examples
        figures: dict[str, float] = {}
        self.objective.eval()
        for place, group in enumerate(batches(examples.sizes(numbers), examples.backbone.batch_size)):
            some = [numbers[i] for i in group]
            seed_step(self.seed, -1 - place)
            with self.accelerator.autocast():
                loss, others = self.objective.loss(self.objective.load(some, None), step)
            for name, value in {"val_loss": float(loss), **others}.items():
                figures[name] = figures.get(name, 0.0) + value * len(some) / len(numbers)
        self.objective.train()
        return figures

    def less_memory(self, fits: int) -> str:
        return f"--batch-size {fits}" if fits else "--architecture with the name of a smaller size"
