"""What a user may say about training, each setting declared once; what is left out comes from the encoder's recipe.

A field of `Settings` says its help, the values it takes, where it applies and whether a resumed training may change it.
The options of the command line, the checks, and what a resumed training must repeat are made from that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import cache
from numbers import Real
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from graftwork.errors import UsageError
from graftwork.specs.backbone import Recipe

STEPS = 300
"""The fewest steps that a fit on few data takes, up to `MOST_EPOCHS` passes over them: short fine-tuning is what makes
it fail on small data (Mosbach et al. 2021; Zhang et al. 2021, arXiv:2006.05987, section 5)."""

MOST_EPOCHS = 20


@dataclass(frozen=True)
class Setting:
    """What a field of `Settings` declares.

    help: of its option; pretrain_help: that of `pretrain`, where it differs. applies: to "steps" (fits that train by
    gradient steps), "exact" (heads that are solved exactly) and "pretrain". least, most: the numbers accepted, and
    accepts says them in words; choices: the only words accepted. resumable: whether a training that goes on may change
    it. option: on the command line, where it is not the field's name.
    """

    help: str
    pretrain_help: str = ""
    applies: tuple[str, ...] = ("steps",)
    accepts: str = ""
    least: float = -math.inf
    most: float = math.inf
    choices: tuple[str, ...] = ()
    resumable: bool = False
    option: str = ""


def setting(default: Any, help: str, **declared: Any) -> Any:
    """A field of `Settings`; `declared` are fields of `Setting`."""
    return field(default=default, metadata={"setting": Setting(help, **declared)})


@dataclass(frozen=True)
class Settings:
    """How the loop trains. A number left out (None) is the recipe's, and more epochs where the data are few.

    After the warm-up the rates fall along half a cosine; the policy's factors multiply them. `balance="weights"` counts
    the examples of rare labels for more, "sampling" shows them more often. `recompute` is gradient checkpointing.

    Raises `UsageError` for a value that is not accepted.
    """

    epochs: int | None = setting(
        None,
        "Passes over the training part; left out, the encoder's recipe.",
        pretrain_help="Passes over the data; left out, the objective's recipe.",
        applies=("steps", "pretrain"),
        least=1,
        accepts="a whole number, 1 or more",
    )
    lr: float | None = setting(
        None,
        "Learning rate of the encoder; left out, its recipe's.",
        pretrain_help="Learning rate; left out, the recipe's.",
        applies=("steps", "pretrain"),
        least=0,
        accepts="0 or more",
    )
    head_lr: float | None = setting(
        None, "Learning rate of the head; left out, the recipe's.", least=0, accepts="0 or more"
    )
    batch_size: int | None = setting(
        None,
        "Examples a step, over all processes.",
        pretrain_help="Examples a step.",
        applies=("steps", "pretrain"),
        least=1,
        accepts="a whole number, 1 or more",
    )
    accumulate: int = setting(
        1, "Compute a step in so many parts, to need less memory.", least=1, accepts="a whole number, 1 or more"
    )
    optimizer: str = setting(
        "adamw", "adamw, sgd or lion.", applies=("steps", "pretrain"), choices=("adamw", "sgd", "lion")
    )
    weight_decay: float | None = setting(
        None,
        "Of the optimizer, on matrices; left out, the recipe's.",
        applies=("steps", "pretrain"),
        least=0,
        accepts="0 or more",
    )
    warmup: float = setting(
        0.1,
        "The part of the steps over which the rates rise.",
        pretrain_help="The part of the steps over which the rate rises.",
        applies=("steps", "pretrain"),
        least=0,
        most=1,
        accepts="a part of the steps, 0 to 1",
    )
    clip: float = setting(
        1.0,
        "The greatest norm of a gradient; 0 does not clip.",
        applies=("steps", "pretrain"),
        least=0,
        accepts="0 or more",
    )
    label_smoothing: float = setting(0.0, "0 to 1.", least=0, most=0.999, accepts="0 or more and below 1")
    dropout: float = setting(
        0.1, "Of pooled features before the head, 0 to 1.", least=0, most=0.999, accepts="0 or more and below 1"
    )
    balance: str = setting(
        "none",
        "For rare labels: none, weights or sampling.",
        applies=("steps", "exact"),
        choices=("none", "weights", "sampling"),
    )
    patience: int = setting(
        5,
        "Epochs without a better validation before it stops; 0 never.",
        least=0,
        accepts="a whole number, 0 or more",
    )
    augment: bool = setting(
        False, "Change training examples by chance.", applies=("steps", "exact", "pretrain"), accepts="True or False"
    )
    views: int = setting(
        0,
        "Keep what frozen stages make of so many changed versions; 0 changes anew each epoch.",
        applies=("steps", "exact"),
        least=0,
        accepts="a whole number, 0 or more",
    )
    recompute: bool = setting(False, "Need less memory and more time.", accepts="True or False")
    checkpoint_every: float = setting(
        60.0,
        "Seconds between checkpoints.",
        applies=("steps", "pretrain"),
        least=0,
        accepts="a number of seconds, 0 or more",
        resumable=True,
    )
    loggers: tuple[str, ...] = setting(
        ("csv",),
        "Where steps are logged: csv, tensorboard, mlflow, wandb or one that a plugin brings; repeatable.",
        applies=("steps", "pretrain"),
        accepts="a tuple of names",
        resumable=True,
        option="--logger",
    )
    tensorboard: bool = setting(False, "Write TensorBoard's logs too.", accepts="True or False", resumable=True)

    def __post_init__(self) -> None:
        declared, types = self.declared(), self.types()
        for item in fields(self):
            value, about = getattr(self, item.name), declared[item.name]
            if value is None and item.default is None:
                continue
            if about.choices and value not in about.choices:
                other = next(choice for choice in about.choices if choice != item.default)
                raise UsageError(
                    f"{self.option(item.name)} {value} is not known; {', '.join(about.choices)} are.",
                    f"Write: {self.option(item.name)} {other}",
                )
            if not _accepted(value, types[item.name], about):
                raise UsageError(
                    f"{self.option(item.name)} {value} is not accepted; it is {about.accepts}.",
                    "See: graftwork fit --help",
                )

    @classmethod
    def of(cls, options: dict[str, Any]) -> Settings:
        """From keywords. Raises `UsageError` for one that is not known, naming the nearest."""
        known = list(cls.declared())
        for name in options:
            if name not in known:
                near = get_close_matches(name, known, 1, cutoff=0)
                raise UsageError(f"fit takes no '{name}'; the nearest that it takes is '{near[0]}'.", "See: help(fit)")
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
        }
        return cls(**given)

    @classmethod
    def declared(cls) -> dict[str, Setting]:
        """What each field says of itself."""
        return {item.name: item.metadata["setting"] for item in fields(cls)}

    @classmethod
    @cache
    def types(cls) -> dict[str, type]:
        """bool, int, float, str or tuple for each field, without the None that some take too."""
        types = {}
        for name, hint in get_type_hints(cls).items():
            if NoneType in get_args(hint):
                hint = next(kind for kind in get_args(hint) if kind is not NoneType)
            types[name] = get_origin(hint) or hint
        return types

    @classmethod
    def applicable(cls, where: str) -> tuple[str, ...]:
        """The names of those that have a meaning for "steps", "exact" or "pretrain"."""
        return tuple(name for name, about in cls.declared().items() if where in about.applies)

    @classmethod
    def option(cls, name: str) -> str:
        """What a field is called on the command line."""
        return cls.declared()[name].option or "--" + name.replace("_", "-")

    def changed(self) -> list[str]:
        """The names of what differs from the defaults."""
        return [item.name for item in fields(self) if getattr(self, item.name) != item.default]

    def fixed(self) -> dict[str, Any]:
        """The values that a training which goes on must repeat."""
        return {name: getattr(self, name) for name, about in self.declared().items() if not about.resumable}


Settings.__doc__ = "\n    ".join(
    [f"{Settings.__doc__}", *(f"{name}: {about.help}" for name, about in Settings.declared().items())]
)


def _accepted(value: Any, kind: type, about: Setting) -> bool:
    if kind is tuple:
        return isinstance(value, tuple) and all(isinstance(name, str) for name in value)
    if kind in (bool, str):
        return isinstance(value, kind)
    return isinstance(value, int if kind is int else Real) and about.least <= float(value) <= about.most


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
