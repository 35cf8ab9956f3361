"""A task: what the labels are, and what an answer is. All that knows of labels of one kind lives in one subclass.

A task is stateless. What it learns of the labels of a fit are `Targets`, which `run.json` keeps and every later call
takes.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

from graftwork.errors import DataError, PluginFault, UsageError
from graftwork.plugins import registry
from graftwork.specs.backbone import Recipe
from graftwork.specs.factories import load_factory
from graftwork.specs.problem import Problem
from graftwork.specs.returns import Checked
from graftwork.specs.task import RawLabel, TaskSpec
from graftwork.tasks.options import options_of
from graftwork.tasks.parts import Mistake, ReportPart

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.tasks.heads import Head
    from graftwork.tasks.losses import Loss

Answer = dict[str, Any]

LOOKED_AT = 100
"""How many examples are looked at for mistakes, those with the highest loss."""


@dataclass(frozen=True)
class Metric:
    """A figure of merit. words: what a table calls it; higher_is_better: whether more is better."""

    name: str
    words: str
    higher_is_better: bool = True


@dataclass(frozen=True)
class Targets:
    """What the labels of some examples are to a task.

    names: of labels or of values, in their order. values: what a head is trained towards, one row for each example:
    whole numbers `(N,)`, or float32 `(N, K)`. learned: what else answers need (thresholds, scales), as JSON can say it.
    strata: for each example what a split is to hold out a part of alike. notes: what a user should know, a sentence
    each.
    """

    names: tuple[str, ...]
    values: Tensor
    learned: Mapping[str, Any] = field(default_factory=dict)
    strata: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def __bool__(self) -> bool:
        return True  # targets of no examples, as a run has them, still know the names

    def as_json(self) -> dict[str, Any]:
        """All of it but the rows, for `run.json`."""
        return {"names": list(self.names), **self.learned}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Targets:
        """What `as_json` gave, without any row. Raises `KeyError` and `TypeError` for anything else."""
        import torch

        learned = {name: value for name, value in said.items() if name != "names"}
        return cls(tuple(said["names"]), torch.zeros(0), learned)


class Task(
    Checked,
    ABC,
    returns={
        "encode": (Targets,),
        "metrics": (Mapping, Real | Mapping),
        "validate": (Mapping, Real | Mapping),
        "decode": (list,),
    },
):
    """One kind of question. Everything that is asked of labels is asked here.

    figures: what answers are judged by, all of them among what `metrics` gives; the first is the primary metric, which
    chooses epochs and taps. tie_break: decides where that is even. applicable: of the settings "balance", "c",
    "label_smoothing", "target_transform" and "min_probability" those that it has a use for. transform: the
    `--target-transform`.
    usual: its own options by name, with their usual values (numbers, words, truth values); `options` has them as given.
    """

    figures: ClassVar[tuple[Metric, ...]]
    tie_break: ClassVar[Metric]
    applicable: ClassVar[frozenset[str]] = frozenset()
    usual: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, spec: TaskSpec, transform: str = "none", options: Mapping[str, Any] | None = None) -> None:
        self.spec = spec
        self.transform = transform
        self.options = options_of(spec.name, self.usual, options or {})

    @property
    def primary(self) -> Metric:
        return self.figures[0]

    # Labels.

    @abstractmethod
    def encode(self, raw: Sequence[RawLabel], known: Targets | None = None) -> Targets:
        """The targets of labels as the data have them; learned from them, or as `known` says.

        Raises `DataError` for labels that it cannot take, in one sentence with the label in it.
        """

    def learn(self, raw: Sequence[RawLabel], known: Targets) -> Targets:
        """`known` with what is learned from the labels of the training part alone, as what is judged on the others must
        be."""
        return known

    def unknown(self, raw: Sequence[RawLabel], known: Targets) -> list[str]:
        """The names among labels that `known` has not, sorted."""
        return []

    def show(self, raw: RawLabel) -> str:
        """A label in words."""
        if isinstance(raw, Mapping):
            return ", ".join(f"{name} {cell}" for name, cell in raw.items())
        return raw if isinstance(raw, str) else ", ".join(raw) if isinstance(raw, Sequence) else str(raw)

    def tally(self, raw: Sequence[RawLabel]) -> dict[str, int]:
        """How many examples have each label, the most frequent first; empty where labels are no names."""
        return dict(Counter(map(self.show, raw)).most_common())

    def tally_by_split(self, raw: Sequence[RawLabel], splits: Sequence[str] | None) -> dict[str, dict[str, int]]:
        """`tally` of each split, under "" where there are none; nothing where labels are no names."""
        places: dict[str, list[RawLabel]] = {}
        for label, split in zip(raw, splits or [""] * len(raw), strict=True):
            places.setdefault(split, []).append(label)
        found = {split: self.tally(labels) for split, labels in places.items()}
        return {split: counts for split, counts in found.items() if counts}

    def check(self, raw: Sequence[RawLabel]) -> None:
        """Raises `DataError` for labels that `encode` would not take."""
        self.encode(raw)

    def problems(self, raw: Sequence[RawLabel]) -> list[Problem]:
        """What is wrong with labels, for `graftwork check`; labels that cannot be taken are one of them."""
        try:
            self.check(raw)
        except DataError as error:
            return [Problem("labels", error.message, error.hint, len(raw))]
        return []

    # From features to answers.

    def outputs(self, known: Targets) -> int:
        """How many numbers its head gives for an example."""
        return len(known.names)

    def head(self, features: int, known: Targets, name: str = "") -> Head:
        """A new head on `features` numbers, see `build_head`. name: of one of its heads; empty for the first."""
        from graftwork.tasks.heads import build_head

        return build_head(name or self.spec.heads[0], features, self.outputs(known))

    def recipe(self, recipe: Recipe) -> Recipe:
        """The settings that training takes by default, from those of the encoder."""
        return recipe

    def solver_loss(self) -> Loss | None:
        """Its `loss` for the exact engine; None where heads are trained by steps only."""
        return None

    @abstractmethod
    def loss(self, outputs: Any, targets: Any, smoothing: float = 0.0) -> Tensor:
        """The loss of each example `(B,)`, from outputs `(B, K)` and rows of `Targets.values`; smoothing: of labels, 0
        to 1."""

    def trivial_loss(self, known: Targets) -> float:
        """About the loss of an example to a head that knows nothing, by which an exploded loss is told."""
        return 1.0

    @abstractmethod
    def decode(self, outputs: Any, known: Targets) -> list[Answer]:
        """What `predict` answers for each row of outputs `(N, K)`."""

    @abstractmethod
    def metrics(self, outputs: Any, targets: Any, known: Targets) -> dict[str, float]:
        """Figures of outputs `(N, K)` for rows of targets, and of the answer that needs no input (the most frequent
        label, the mean)."""

    @abstractmethod
    def as_label(self, answer: Answer) -> RawLabel:
        """The label that an answer of `decode` says, as data would have it."""

    def calibrate(self, outputs: Tensor, targets: Tensor, known: Targets) -> Targets:
        """What is chosen on held-out examples, added to what is known: a temperature, thresholds. Of a `DenseTask`
        whose head was solved, on the positions that it was solved on."""
        return known

    def validate(self, outputs: Tensor, targets: Tensor, known: Targets) -> dict[str, float]:
        """`metrics` on the examples that `calibrate` chooses by, so that the choice does not flatter them."""
        return self.metrics(outputs, targets, known)

    def calibration(self, outputs: Tensor, targets: Tensor, known: Targets) -> dict[str, Any] | None:
        """How far probabilities can be believed, on the examples that `calibrate` chooses by; None for answers without
        them.

        `{temperature, ece_before, ece_after, log_loss_before, log_loss_after, bins}`; each of bins is `{low, high,
        confidence, accuracy, count}`. What is "after" is of examples that did not choose the temperature.
        """
        return None

    def sure(self, answer: Answer, least: float) -> Answer:
        """The answer without those boxes, spans and the like whose `probability` is below `least`, 0 to 1; asked where
        "min_probability" is applicable."""
        return {
            name: [one for one in value if one["probability"] >= least] if isinstance(value, list) else value
            for name, value in answer.items()
        }

    # What people read.

    def rank(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """A key by which better metrics are greater: the primary metric, then what breaks a tie."""
        chosen = (self.primary, self.tie_break)
        return tuple(metrics[m.name] if m.higher_is_better else -metrics[m.name] for m in chosen)

    def tracked(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """The metrics that are kept of each epoch and tap: those that `rank` looks at."""
        return {metric.name: metrics[metric.name] for metric in (self.primary, self.tie_break)}

    @abstractmethod
    def headline(self, metrics: Mapping[str, float], count: int) -> str:
        """One sentence on how good the answers on `count` held-out examples are."""

    def parts(self, outputs: Tensor, targets: Tensor, known: Targets) -> list[ReportPart]:
        """What a report shows of outputs `(N, K)` for held-out examples beside the metrics: which answers are confused,
        figures by label, values beside the true ones. Nothing by default."""
        return []

    def mistakes(self, outputs: Tensor, targets: Tensor, known: Targets) -> Iterator[Mistake]:
        """Held-out examples with bad answers, the worst first: by default those with the highest loss. A report shows
        the first of them whose answer is not their label in words."""
        losses = self.loss(outputs, targets).detach()
        for row in losses.argsort(descending=True)[:LOOKED_AT].tolist():
            (answer,) = self.decode(outputs[row : row + 1], known)
            yield Mistake(row, self.show(self.as_label(answer)), f"loss {float(losses[row]):.2f}")

    def nothing(self) -> Answer:
        """The answer for an input that cannot be read; `error` is added to it."""
        return {}

    def columns(self) -> tuple[str, ...]:
        """The columns of answers on a terminal, beside the input."""
        return ("answer",)

    def cells(self, answer: Answer) -> tuple[str, ...]:
        """An answer in these columns."""
        return (", ".join(f"{name} {value}" for name, value in answer.items() if name != "input"),)

    def as_row(self, answer: Answer, top: int = 1) -> dict[str, Any]:
        """An answer as cells of a table by column, each text, a number or None. top: how many labels have columns,
        where an answer ranks them."""
        flat = (str, int, float, type(None))
        return {
            name: value if isinstance(value, flat) else json.dumps(value, ensure_ascii=False)
            for name, value in answer.items()
            if name not in ("input", "notes")
        }

    def as_json(self, answer: Answer) -> Answer:
        """An answer as JSON can say it."""
        return answer

    # For the conformance kit.

    @abstractmethod
    def samples(self) -> list[RawLabel]:
        """Some labels of each kind that it can take, ten or more, to be checked with."""


def most_probable(answer: Answer, top: int | None) -> Answer:
    """The answer with as many of its probabilities as are wanted, the highest first; all where none is said."""
    if top is None or "probabilities" not in answer:
        return answer
    ranked = sorted(answer["probabilities"].items(), key=lambda item: -item[1])
    return {**answer, "probabilities": dict(ranked[:top])}


def load_task(name: str, transform: str = "none", options: Mapping[str, Any] | None = None) -> Task:
    """The task of this name.

    Raises `UnknownName` for one that nothing brings, `UsageError` where it has no use for the transform or an option,
    `PluginFault` for a factory that names no task.
    """
    spec = registry.task(name)
    made: Any = load_factory(spec.factory)
    task = made(spec, transform, options) if isinstance(made, type) and issubclass(made, Task) else None
    if task is None:
        raise PluginFault(
            f"'{spec.factory}' is not a graftwork.Task.", "Mend the plugin that brings it.", factory=spec.factory
        )
    if transform not in ("none", "log"):
        raise UsageError(f"--target-transform {transform} is not known; none and log are.", "Leave it out.")
    if transform != "none":
        check_applicable(task, ["target_transform"])
    return task


def check_applicable(task: Task, given: Sequence[str]) -> None:
    """Raises `UsageError` for the first of these settings that the task has no use for."""
    for name in given:
        if name not in task.applicable:
            raise UsageError(
                f"The task '{task.spec.name}' has no use for --{name.replace('_', '-')}: its labels are "
                f"{task.spec.labels}.",
                "Leave it out.",
            )


def words_only(raw: Sequence[RawLabel], accepted: str) -> list[str]:
    """The labels, each one cell. Raises `DataError` for lists and for several columns, saying what is accepted."""
    for label in raw:
        if not isinstance(label, str):
            held = "several columns" if isinstance(label, Mapping) else "lists"
            raise DataError(
                f"The labels are {held} (the first: '{_first(label)}'); {accepted} is accepted.",
                "Name one column: --label COLUMN, or say that labels may be together: --task multilabel",
            )
    return list(raw)  # pyright: ignore[reportReturnType]


def _first(label: Any) -> str:
    return ", ".join(label)[:60]
