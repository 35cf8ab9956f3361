"""What a user may say about training by gradient steps; what is left out comes from the encoder's recipe."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, NamedTuple, TypedDict

from graftwork.errors import UsageError
from graftwork.specs.backbone import Recipe

BALANCES = ("none", "weights", "sampling")

STEPS = 300
"""The fewest steps that a fit on few data takes, up to `MOST_EPOCHS` passes over them: short fine-tuning is what makes
it fail on small data (Mosbach et al. 2021; Zhang et al. 2021, arXiv:2006.05987, section 5)."""

MOST_EPOCHS = 20


@dataclass(frozen=True)
class Settings:
    """How the loop trains.

    epochs: passes over the training part; None takes the recipe's, and more where the data are few.
    lr, head_lr: the learning rates of the encoder and of the head, before the policy's factors; None, the recipe's.
    batch_size: examples of one step, over all processes; None, the recipe's.
    accumulate: in how many parts a step is computed, to need less memory.
    weight_decay: of AdamW, on matrices; None, the recipe's. warmup: the part of the steps over which the rates rise;
    then they fall along half a cosine. clip: the greatest norm of a step's gradient; 0 does not clip.
    label_smoothing: 0 to 1. dropout: of pooled features before the head, 0 to 1.
    balance: "weights" counts the examples of rare labels for more, "sampling" shows them more often.
    patience: how many epochs without a better validation accuracy are waited for; 0 never stops early.
    augment: change training examples by chance, as their modality does. views: where stages stay frozen, keep what they
    make of so many changed versions of each example and show these in turn; 0 changes anew in every epoch.
    recompute: compute the stages that train twice instead of keeping what they computed (gradient checkpointing).
    checkpoint_every: seconds between checkpoints. tensorboard: write TensorBoard's logs too.
    """

    epochs: int | None = None
    lr: float | None = None
    head_lr: float | None = None
    batch_size: int | None = None
    accumulate: int = 1
    weight_decay: float | None = None
    warmup: float = 0.1
    clip: float = 1.0
    label_smoothing: float = 0.0
    dropout: float = 0.1
    balance: str = "none"
    patience: int = 5
    augment: bool = False
    views: int = 0
    recompute: bool = False
    checkpoint_every: float = 60.0
    tensorboard: bool = False
    optimizer: str = "adamw"
    loggers: tuple[str, ...] = ("csv",)

    def __post_init__(self) -> None:
        for name, least, most, what in (
            ("epochs", 1, math.inf, "a whole number, 1 or more"),
            ("batch_size", 1, math.inf, "a whole number, 1 or more"),
            ("accumulate", 1, math.inf, "a whole number, 1 or more"),
            ("patience", 0, math.inf, "a whole number, 0 or more"),
            ("views", 0, math.inf, "a whole number, 0 or more"),
            ("lr", 0, math.inf, "0 or more"),
            ("head_lr", 0, math.inf, "0 or more"),
            ("weight_decay", 0, math.inf, "0 or more"),
            ("clip", 0, math.inf, "0 or more"),
            ("checkpoint_every", 0, math.inf, "a number of seconds, 0 or more"),
            ("warmup", 0, 1, "a part of the steps, 0 to 1"),
            ("label_smoothing", 0, 0.999, "0 or more and below 1"),
            ("dropout", 0, 0.999, "0 or more and below 1"),
        ):
            value = getattr(self, name)
            whole = not what.startswith("a whole") or isinstance(value, int)
            if value is not None and not (whole and least <= value <= most):
                raise UsageError(f"{_option(name)} {value} is not accepted; it is {what}.", "See: graftwork fit --help")
        if self.balance not in BALANCES:
            raise UsageError(
                f"--balance {self.balance} is not known; {', '.join(BALANCES)} are.", "Write: --balance weights"
            )

    @classmethod
    def of(cls, options: dict[str, Any]) -> Settings:
        """From keywords. Raises `UsageError` for one that is not known, naming the nearest."""
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                near = get_close_matches(name, known, 1, cutoff=0)
                raise UsageError(f"fit takes no '{name}'; the nearest that it takes is '{near[0]}'.", "See: help(fit)")
        return cls(**options)

    def changed(self) -> list[str]:
        """The names of what differs from the defaults."""
        return [field.name for field in fields(self) if getattr(self, field.name) != field.default]


class Options(TypedDict, total=False):
    """The fields of `Settings` as keywords of `fit`."""

    epochs: int | None
    lr: float | None
    head_lr: float | None
    batch_size: int | None
    accumulate: int
    weight_decay: float | None
    warmup: float
    clip: float
    label_smoothing: float
    dropout: float
    balance: str
    patience: int
    augment: bool
    views: int
    recompute: bool
    checkpoint_every: float
    tensorboard: bool


class Decided(NamedTuple):
    """The numbers of one fit, from what the user said, the encoder's recipe and the data."""

    epochs: int
    steps_per_epoch: int
    batch_size: int
    lr: float
    head_lr: float
    weight_decay: float

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch


def decide(settings: Settings, recipe: Recipe, examples: int) -> Decided:
    """What holds for a training part of this many examples."""

    def say(said: Any, otherwise: Any) -> Any:
        return otherwise if said is None else said

    batch_size = say(settings.batch_size, recipe.batch_size)
    steps = math.ceil(examples / batch_size)
    few = min(MOST_EPOCHS, math.ceil(STEPS / steps))
    return Decided(
        epochs=say(settings.epochs, max(recipe.epochs, few)),
        steps_per_epoch=steps,
        batch_size=batch_size,
        lr=say(settings.lr, recipe.learning_rate),
        head_lr=say(settings.head_lr, recipe.head_learning_rate),
        weight_decay=say(settings.weight_decay, recipe.weight_decay),
    )


def factor(step: int, steps: int, warmup: float) -> float:
    """What the rates are multiplied by in a step (from 0): a linear rise over the part `warmup`, then half a cosine to
    0 (Loshchilov and Hutter 2017, arXiv:1608.03983)."""
    rise = round(warmup * steps)
    if step < rise:
        return (step + 1) / (rise + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
