"""`multilabel`: any number of labels for each example."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from graftwork.errors import DataError
from graftwork.specs.task import RawLabel
from graftwork.tasks.calibration import calibration_error, temper
from graftwork.tasks.classify import sort_labels
from graftwork.tasks.label_parts import label_table
from graftwork.tasks.parts import Mistake, ReportPart
from graftwork.tasks.task import Answer, Metric, Targets, Task

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.tasks.losses import Loss

SEPARATOR = "|"
THERE = {
    "1": True,
    "1.0": True,
    "true": True,
    "yes": True,
    "0": False,
    "0.0": False,
    "false": False,
    "no": False,
    "": False,
}
"""What the cells of several label columns may say, in any case."""
FEWEST = 3
"""A threshold is chosen by this many held-out examples with the label and as many without; by fewer it stays 0.5."""
COMMON = 5
"""A set of labels with fewer examples is split together with others that share its rarest common label."""


class Multilabel(Task):
    """Labels are sets of names: list cells, `a|b`, or several columns of 0 and 1. Held-out examples choose one
    temperature of all probabilities, and then a threshold for each label."""

    figures: ClassVar = (
        Metric("macro_f1", "macro F1"),
        Metric("micro_f1", "micro F1"),
        Metric("mean_average_precision", "mean average precision"),
        Metric("subset_accuracy", "subset accuracy"),
        Metric("ece", "calibration error", higher_is_better=False),
        Metric("every_label", "macro F1 of all labels always"),
    )
    tie_break: ClassVar = figures[2]
    applicable: ClassVar = frozenset({"label_smoothing", "c", "min_probability"})

    def encode(self, raw: Sequence[RawLabel], known: Targets | None = None) -> Targets:
        import torch

        sets = [_labels(label) for label in raw]
        if known is None:
            names = _names(raw, sets)
            known = Targets(names, torch.zeros(0), {"thresholds": [0.5] * len(names)})
        place = {name: k for k, name in enumerate(known.names)}
        values = torch.zeros(len(sets), len(place))
        for row, found in enumerate(sets):
            for name in found:
                values[row, place[name]] = 1
        return replace(known, values=values, strata=_strata(sets))

    def check(self, raw: Sequence[RawLabel]) -> None:
        _names(raw, [_labels(label) for label in raw])

    def unknown(self, raw: Sequence[RawLabel], known: Targets) -> list[str]:
        return sorted({name for label in raw for name in _labels(label)} - set(known.names))

    def show(self, raw: RawLabel) -> str:
        return ", ".join(_labels(raw)) or "none"

    def tally(self, raw: Sequence[RawLabel]) -> dict[str, int]:
        return dict(Counter(name for label in raw for name in _labels(label)).most_common())

    def solver_loss(self) -> Loss:
        from graftwork.tasks.losses import Sigmoid

        return Sigmoid()

    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        wanted = targets.to(outputs.dtype) * (1 - smoothing) + smoothing / 2
        from torch.nn.functional import binary_cross_entropy_with_logits

        return binary_cross_entropy_with_logits(outputs, wanted, reduction="none").sum(1)

    def trivial_loss(self, known: Targets) -> float:
        return len(known.names) * math.log(2)

    def decode(self, outputs: Tensor, known: Targets) -> list[Answer]:
        found = _probabilities(outputs, known).tolist()
        return [
            {
                "labels": [n for n, p, t in zip(known.names, row, _thresholds(known), strict=True) if p >= t],
                "probabilities": dict(zip(known.names, row, strict=True)),
            }
            for row in found
        ]

    def as_label(self, answer: Answer) -> RawLabel:
        return answer["labels"]

    def nothing(self) -> Answer:
        return {"labels": None, "probabilities": {}}

    def metrics(self, outputs: Tensor, targets: Tensor, known: Targets) -> dict[str, float]:
        probabilities, there = _probabilities(outputs, known), targets.numpy() > 0.5
        return _figures(probabilities >= np.array(_thresholds(known)), probabilities, there)

    def calibrate(self, outputs: Tensor, targets: Tensor, known: Targets) -> Targets:
        """The temperature, and for each label the threshold that gives its highest F1 on these examples."""
        temperature = temper(outputs, targets, self.loss).temperature
        known = replace(known, learned={**known.learned, "temperature": temperature})
        found = _best_thresholds(_probabilities(outputs, known), targets.numpy() > 0.5)
        return replace(known, learned={**known.learned, "thresholds": found})

    def validate(self, outputs: Tensor, targets: Tensor, known: Targets) -> dict[str, float]:
        """Each fold of the examples is judged by the temperature that the others choose, and each half decided by the
        thresholds of the other half."""
        decided, probabilities = self._judged(outputs, targets)
        return _figures(decided, probabilities, targets.numpy() > 0.5)

    def _judged(self, outputs: Tensor, targets: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Which labels are answered `(N, K)` and with what probability, by a temperature and thresholds that others
        chose."""
        outputs = outputs.double() / temper(outputs, targets, self.loss).each
        probabilities, there = outputs.sigmoid().numpy(), targets.numpy() > 0.5
        decided = np.zeros_like(there)
        for half in (slice(0, None, 2), slice(1, None, 2)):
            other = slice(1 - half.start, None, 2)
            decided[half] = probabilities[half] >= np.array(_best_thresholds(probabilities[other], there[other]))
        return decided, probabilities

    def parts(self, outputs: Tensor, targets: Tensor, known: Targets) -> list[ReportPart]:
        (decided, _), there = self._judged(outputs, targets), targets.numpy() > 0.5
        counts = ((there & decided).sum(0), there.sum(0), decided.sum(0))
        return [label_table(known.names, *counts, {"threshold": _thresholds(known)})]

    def mistakes(self, outputs: Tensor, targets: Tensor, known: Targets) -> Iterator[Mistake]:
        """The examples with wrong labels, those with the surest wrong one first."""
        (decided, probabilities), there = self._judged(outputs, targets), targets.numpy() > 0.5
        # How sure a label is found, or found to be missing, where that is wrong.
        sure = np.where(decided, probabilities, 1 - probabilities) * (decided != there)
        wrong = np.flatnonzero((decided != there).any(1))
        for row in wrong[np.argsort(-sure[wrong].max(1), kind="stable")].tolist():
            label, names = int(sure[row].argmax()), [known.names[k] for k in np.flatnonzero(decided[row])]
            what = f"'{known.names[label]}' {'found' if decided[row, label] else 'missed'}"
            yield Mistake(row, ", ".join(names) or "none", f"{what}, probability {probabilities[row, label]:.2f}")

    def calibration(self, outputs: Tensor, targets: Tensor, known: Targets) -> dict[str, Any]:
        """Of every label of every example, there or not; losses are means over all of them."""
        there = targets.numpy().ravel() > 0.5

        def confidence(outputs: Tensor) -> tuple[np.ndarray, np.ndarray, float]:
            loss = float(self.loss(outputs.double(), targets).mean()) / targets.shape[1]
            return outputs.double().sigmoid().numpy().ravel(), there, loss

        return temper(outputs, targets, self.loss).as_json(outputs, confidence)

    def sure(self, answer: Answer, least: float) -> Answer:
        """Without labels that are less probable; none joins that its threshold left out."""
        chances = answer["probabilities"]
        return {**answer, "labels": [name for name in answer["labels"] if chances[name] >= least]}

    def headline(self, metrics: Mapping[str, float], count: int) -> str:
        return (
            f"The labels of {count} held-out examples are found with a macro F1 of {metrics['macro_f1']:.3f} "
            f"({metrics['every_label']:.3f} by saying every label of every example); of "
            f"{metrics['subset_accuracy']:.1%} all labels are right."
        )

    def columns(self) -> tuple[str, ...]:
        return ("labels", "probabilities")

    def cells(self, answer: Answer) -> tuple[str, ...]:
        ranked = sorted(answer["probabilities"].items(), key=lambda item: -item[1])
        return ", ".join(answer["labels"]) or "none", ", ".join(f"{label} {p:.3f}" for label, p in ranked)

    def as_row(self, answer: Answer, top: int = 1) -> dict[str, Any]:
        """`labels` as data have them in one cell, and the `probabilities` as JSON."""
        return {**super().as_row(answer), "labels": SEPARATOR.join(answer["labels"])}

    def samples(self) -> list[RawLabel]:
        return ["a", "b", "a|b", ["a", "c"], [], "c"] * 3


def _labels(raw: RawLabel) -> list[str]:
    """The names of a label, each once."""
    if isinstance(raw, Mapping):
        found = []
        for column, cell in raw.items():
            word = str(cell).strip().lower()
            if word not in THERE:
                raise DataError(
                    f"The label column '{column}' holds '{cell}'; several columns hold 0 or 1 each.",
                    "Put the labels of an example into one cell, as a list or as a|b, and name that: --label COLUMN",
                )
            if THERE[word]:
                found.append(column)
        return found
    if not isinstance(raw, Sequence):
        raise DataError(
            f"The labels lie in the input ({type(raw).__name__}); names that an example has as a whole are accepted.",
            "Name the task that takes them: --task NAME; see: graftwork plugins",
        )
    cells = raw.split(SEPARATOR) if isinstance(raw, str) else raw
    return list(dict.fromkeys(word for word in (str(cell).strip() for cell in cells) if word))


def _names(raw: Sequence[RawLabel], sets: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """All names. Raises `DataError` for labels that nothing can be learned from."""
    columns = list(raw[0]) if raw and isinstance(raw[0], Mapping) else []
    names, count = tuple(sort_labels(columns or {name for found in sets for name in found})), len(raw)
    seen = Counter(name for found in sets for name in found)
    if not seen:
        raise DataError(
            f"None of the {count} examples has a label; every label set is empty.",
            "Name another column: --label COLUMN",
        )
    missing = [name for name in names if not seen[name]]
    if missing:
        raise DataError(
            f"The label '{missing[0]}' never occurs, so nothing can be learned of it.",
            "Leave out its column, or add examples of it.",
        )
    always = [name for name in names if seen[name] == count]
    if len(always) == len(names):
        raise DataError(
            f"All {count} examples have the same labels ({', '.join(names[:5])}); labels that only some have are "
            "accepted.",
            "Add examples without them.",
        )
    return names


def _strata(sets: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The label set where it is common; else the rarest label in it, or that there is none."""
    keys = [SEPARATOR.join(sorted(found)) for found in sets]
    common = Counter(keys)
    single = Counter(name for found in sets for name in found)
    return tuple(
        key if common[key] >= COMMON else f"rarest {min(found, key=lambda name: (single[name], name), default='')}"
        for key, found in zip(keys, sets, strict=True)
    )


def _thresholds(known: Targets) -> list[float]:
    return known.learned["thresholds"]


def _probabilities(outputs: Tensor, known: Targets) -> np.ndarray:
    """Of each label, `(N, K)`; runs from before there were temperatures have none."""
    return (outputs.double() / known.learned.get("temperature", 1.0)).sigmoid().numpy()


def _best_thresholds(probabilities: np.ndarray, there: np.ndarray) -> list[float]:
    return [best_threshold(probabilities[:, k], there[:, k]) for k in range(there.shape[1])]


def best_threshold(probabilities: np.ndarray, there: np.ndarray) -> float:
    """The probability `(N,)` from which on a label is taken to be there, for the highest F1; halfway between two
    examples, and the nearest to 0.5 of several that are as good."""
    positives = int(there.sum())
    if min(positives, len(there) - positives) < FEWEST:
        return 0.5
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    hits = np.cumsum(there[order])
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + positives)
    f1[:-1][ranked[:-1] == ranked[1:]] = -1  # examples of one probability fall on one side
    cuts = np.append((ranked[:-1] + ranked[1:]) / 2, ranked[-1])
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(cuts[best[np.abs(cuts[best] - 0.5).argmin()]])


def _figures(decided: np.ndarray, probabilities: np.ndarray, there: np.ndarray) -> dict[str, float]:
    """Of decisions, probabilities and truths `(N, K)`; macro figures are over the labels that occur."""
    from sklearn.metrics import average_precision_score, f1_score

    occur = there.any(0)
    everything = np.ones_like(there)

    def f1(said: np.ndarray, average: str) -> float:
        return float(f1_score(there[:, occur], said[:, occur], average=average, zero_division=0))  # pyright: ignore

    return {
        "macro_f1": f1(decided, "macro") if occur.any() else 0.0,
        "micro_f1": float(f1_score(there, decided, average="micro", zero_division=0)),  # pyright: ignore
        "mean_average_precision": float(average_precision_score(there[:, occur], probabilities[:, occur]))
        if occur.any()
        else 0.0,
        "subset_accuracy": float((decided == there).all(1).mean()),
        "ece": calibration_error(probabilities.ravel(), there.ravel()),
        "every_label": f1(everything, "macro") if occur.any() else 0.0,
    }
