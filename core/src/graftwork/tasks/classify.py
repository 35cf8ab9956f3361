"""`classify`: one label of several for each example."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from graftwork.data.labels import similar
from graftwork.errors import DataError
from graftwork.specs.contracts import plural, show
from graftwork.specs.problem import Problem
from graftwork.specs.task import RawLabel
from graftwork.tasks.calibration import calibration_error, temper
from graftwork.tasks.label_parts import confusion, label_table
from graftwork.tasks.parts import Mistake, ReportPart
from graftwork.tasks.task import Answer, Metric, Targets, Task, words_only

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.tasks.losses import Loss

FEW = 10
"""A label with fewer examples is judged by one or two held-out ones."""
TIMES = 10
"""From here on, the most frequent label is called out of balance with the rarest."""
NAMED = 20
"""How many labels of a problem are named."""
UNSURE = "(not sure)"
"""The label of an answer that is too improbable to give, on a terminal."""


class Classify(Task):
    """Labels are names, of which an example has one; answers are probabilities of all of them, by one temperature that
    is chosen on held-out examples."""

    figures: ClassVar = (
        Metric("accuracy", "accuracy"),
        Metric("macro_f1", "macro F1"),
        Metric("log_loss", "log loss", higher_is_better=False),
        Metric("ece", "calibration error", higher_is_better=False),
        Metric("majority", "most frequent label"),
    )
    tie_break: ClassVar = figures[2]
    applicable: ClassVar = frozenset({"balance", "label_smoothing", "c", "min_probability"})

    def encode(self, raw: Sequence[RawLabel], known: Targets | None = None) -> Targets:
        import torch

        labels = words_only(raw, "one label per example")
        notes = () if known is not None else _check(labels)
        names = known.names if known is not None else tuple(sort_labels(set(labels)))
        number = {name: k for k, name in enumerate(names)}
        values = torch.tensor([number[label] for label in labels], dtype=torch.long)
        return Targets(names, values, strata=tuple(labels), notes=notes)

    def unknown(self, raw: Sequence[RawLabel], known: Targets) -> list[str]:
        return sorted({self.show(label) for label in raw} - set(known.names))

    def solver_loss(self) -> Loss:
        from graftwork.tasks.losses import Softmax

        return Softmax()

    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, targets, reduction="none", label_smoothing=smoothing)

    def trivial_loss(self, known: Targets) -> float:
        return math.log(max(2, len(known.names)))

    def decode(self, outputs: Tensor, known: Targets) -> list[Answer]:
        answers = []
        for row in _probabilities(outputs, known).tolist():
            probabilities = dict(zip(known.names, row, strict=True))
            label = max(probabilities, key=probabilities.__getitem__)
            answers.append({"label": label, "probabilities": probabilities})
        return answers

    def as_label(self, answer: Answer) -> RawLabel:
        return answer["label"]

    def nothing(self) -> Answer:
        return {"label": None, "probabilities": {}}

    def metrics(self, outputs: Tensor, targets: Tensor, known: Targets) -> dict[str, float]:
        return classification(_probabilities(outputs, known), targets.numpy())

    def calibrate(self, outputs: Tensor, targets: Tensor, known: Targets) -> Targets:
        found = temper(outputs, targets, self.loss).temperature
        return replace(known, learned={**known.learned, "temperature": found})

    def validate(self, outputs: Tensor, targets: Tensor, known: Targets) -> dict[str, float]:
        """Each fold of the examples is judged by the temperature that the others choose."""
        return self.metrics(outputs / temper(outputs, targets, self.loss).each, targets, known)

    def calibration(self, outputs: Tensor, targets: Tensor, known: Targets) -> dict[str, Any]:
        def confidence(outputs: Tensor) -> tuple[np.ndarray, np.ndarray, float]:
            said, label = outputs.double().softmax(-1).max(-1)
            return said.numpy(), (label == targets).numpy(), float(self.loss(outputs.double(), targets).mean())

        return temper(outputs, targets, self.loss).as_json(outputs, confidence)

    def sure(self, answer: Answer, least: float) -> Answer:
        """One that is too improbable keeps its `probabilities`, has no label and says `abstained`."""
        if answer["probabilities"][answer["label"]] >= least:
            return answer
        return {**answer, "label": None, "abstained": True}

    def headline(self, metrics: Mapping[str, float], count: int) -> str:
        gain = metrics["accuracy"] - metrics["majority"]
        return (
            f"{metrics['accuracy']:.1%} of {count} held-out examples are right, {gain * 100:+.1f} points against "
            "always guessing the most frequent label."
        )

    def parts(self, outputs: Tensor, targets: Tensor, known: Targets) -> list[ReportPart]:
        said, true, size = outputs.argmax(-1).numpy(), targets.numpy(), len(known.names)
        hits, true_counts, said_counts = (np.bincount(k, minlength=size) for k in (true[true == said], true, said))
        return [confusion(known.names, true, said), label_table(known.names, hits, true_counts, said_counts)]

    def mistakes(self, outputs: Tensor, targets: Tensor, known: Targets) -> Iterator[Mistake]:
        """The wrong answers, the surest first."""
        probabilities = _probabilities(outputs, known)
        sure, said = probabilities.max(1), probabilities.argmax(1)
        order = np.argsort(-sure, kind="stable")
        for row in order[said[order] != targets.numpy()[order]].tolist():
            yield Mistake(row, known.names[said[row]], f"{sure[row]:.0%} sure")

    def columns(self) -> tuple[str, ...]:
        return ("label", "probability", "then")

    def cells(self, answer: Answer) -> tuple[str, ...]:
        ranked = sorted(answer["probabilities"].items(), key=lambda item: -item[1])
        rest = ", ".join(f"{label} {p:.3f}" for label, p in ranked[1:])
        return answer["label"] or UNSURE, f"{ranked[0][1]:.3f}", rest

    def as_row(self, answer: Answer, top: int = 1) -> dict[str, Any]:
        """`label`, None where it is too improbable, and its `probability`, then `label_2` and `probability_2`, up to
        `top`."""
        ranked = sorted(answer["probabilities"].items(), key=lambda item: -item[1])
        row = {"label": answer["label"], "probability": ranked[0][1]}
        for rank, (label, probability) in enumerate(ranked[1:top], 2):
            row |= {f"label_{rank}": label, f"probability_{rank}": probability}
        return row

    def samples(self) -> list[RawLabel]:
        return ["a", "b", "c"] * 5

    def problems(self, raw: Sequence[RawLabel]) -> list[Problem]:
        try:
            labels = words_only(raw, "one label per example")
        except DataError as error:
            return [Problem("labels", error.message, error.hint, len(raw))]
        return list(_problems(labels))


def _probabilities(outputs: Tensor, known: Targets) -> np.ndarray:
    """Of each label, `(N, K)`; runs from before there were temperatures have none."""
    return (outputs.double() / known.learned.get("temperature", 1.0)).softmax(-1).numpy()


def classification(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """accuracy, macro_f1 (over the labels present or predicted), log_loss (nats), ece (expected calibration error of
    the predicted label, 0 to 1) and the accuracy of always guessing the most frequent label. probabilities `(N, K)`,
    targets `(N,)` numbers of labels."""
    n, classes = probabilities.shape
    predicted = probabilities.argmax(1)
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (targets, predicted), 1)
    hits = confusion.diagonal()
    sizes = confusion.sum(0) + confusion.sum(1)
    f1 = 2 * hits[sizes > 0] / sizes[sizes > 0]
    likelihood = np.clip(probabilities[np.arange(n), targets], np.finfo(np.float64).tiny, 1)
    return {
        "accuracy": float(hits.sum() / n),
        "macro_f1": float(f1.mean()),
        "log_loss": float(-np.log(likelihood).mean()),
        "ece": calibration_error(probabilities.max(1), predicted == targets),
        "majority": float(confusion.sum(1).max() / n),
    }


def numbers(labels: Iterable[str]) -> list[float] | None:
    """The labels as finite numbers; None where one of them is none."""
    try:
        found = [float(label) for label in labels]
    except ValueError:
        return None
    return found if all(map(math.isfinite, found)) else None


def sort_labels(labels: Iterable[str]) -> list[str]:
    """By value where all are finite numbers, else by letters; like values by letters too, so that the order is one."""
    labels = sorted(labels)
    values = numbers(labels)
    if values is None:
        return labels
    return [label for _, label in sorted(zip(values, labels, strict=True))]


def _check(labels: Sequence[str]) -> tuple[str, ...]:
    """Notes on labels. Raises `DataError` where they are all the same, or all different numbers."""
    counts = Counter(labels)
    if len(counts) == 1:
        raise DataError(
            f"All {len(labels)} examples have the label '{next(iter(counts))}'; two labels or more are accepted.",
            "Add examples of another label.",
        )
    if len(counts) == len(labels) > 2 and numbers(counts):
        raise DataError(
            f"The {len(labels)} labels are as many different numbers (the first: {labels[0]}), so none is seen twice.",
            "If they are values, not names, write: --task regress",
        )
    single = sorted(label for label, count in counts.items() if count == 1)
    if not single:
        return ()
    words = ", ".join(f"'{label}'" for label in single[:5]) + (" and others" if len(single) > 5 else "")
    notes = [f"Seen once only, so trained on but never checked: the label{'s' * (len(single) > 1)} {words}."]
    if len(counts) > len(labels) / 2 and numbers(counts):
        notes.append(
            f"The labels are {len(counts)} different numbers in {len(labels)} examples, each taken for a name. If they "
            "are values, write: --task regress"
        )
    return tuple(notes)


def _problems(labels: Sequence[str]) -> Iterable[Problem]:
    counts = Counter(labels)
    ranked = counts.most_common()
    (most, many), (least, few) = ranked[0], ranked[-1]
    if len(ranked) == 1:
        yield Problem(
            "one_label", f"All {show(many)} examples have the label '{most}'.", "Add examples of another label.", many
        )
    rare = [(name, count) for name, count in reversed(ranked) if count < FEW]
    if rare:
        names = ", ".join(f"'{name}' ({count})" for name, count in rare[:5]) + (" and others" if len(rare) > 5 else "")
        message = (
            f"{show(len(rare))} of {show(len(ranked))} labels "
            f"{'has' if len(rare) == 1 else 'have'} fewer than {FEW} examples: {names}."
        )
        hint = "Add examples; with so few, a figure on the held-out part says little."
        yield Problem("too_few", message, hint, sum(count for _, count in rare), tuple(n for n, _ in rare[:NAMED]))
    if many >= TIMES * few:
        message = (
            f"The label '{most}' has {show(many)} examples and '{least}' {show(few)}: {many / few:.0f} times as many."
        )
        hint = "Judge by macro F1 rather than by accuracy, or add examples of the rare labels."
        yield Problem("imbalance", message, hint, many, (most, least))
    alike: dict[str, list[str]] = {}
    for name in counts:
        alike.setdefault(similar(name), []).append(name)
    twins = [names for names in alike.values() if len(names) > 1]
    if twins:
        first = " and ".join(f"'{name}' ({counts[name]})" for name in twins[0])
        yield Problem(
            "similar_labels",
            f"Labels differ only by case or blanks ({plural(len(twins), 'group')}); the first: {first}.",
            "Write them alike; as they are, each counts as a class of its own.",
            sum(counts[name] for names in twins for name in names),
            tuple(name for names in twins for name in names)[:NAMED],
        )
