"""`ordinal`: labels in an order, by a cumulative-link model whose thresholds are judged one by one.

The loss of an example is the cross-entropy of every threshold, passed or not (the all-threshold loss; Rennie and Srebro
2005, "Loss functions for preference levels", section 4). It is convex, and its best thresholds are in order.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from graftwork import DataError, Loss, Metric, RawLabel, Sigmoid, Targets, Task

SCALES = (
    ("very low", "low", "middle", "high", "very high"),
    ("very low", "low", "medium", "high", "very high"),
    ("very bad", "bad", "poor", "fair", "average", "ok", "okay", "good", "very good", "excellent"),
    ("never", "rarely", "seldom", "sometimes", "often", "usually", "always"),
    ("strongly disagree", "disagree", "neutral", "agree", "strongly agree"),
    ("very negative", "negative", "neutral", "positive", "very positive"),
    ("none", "minor", "mild", "moderate", "major", "severe", "critical"),
    ("small", "medium", "large"),
    ("xxs", "xs", "s", "m", "l", "xl", "xxl", "xxxl"),
    ("beginner", "intermediate", "advanced", "expert"),
)
"""Words whose order everybody knows, lowest first."""


class Cumulative(Sigmoid):
    """`Sigmoid` for thresholds on one scale: all have the same weights."""

    shared = True


class Ordinal(Task):
    """Labels are in an order: numbers, words of a known scale (low, middle, high), or names that begin with a
    number."""

    figures: ClassVar = (
        Metric("quadratic_kappa", "quadratic kappa"),
        Metric("rank_error", "mean rank error", higher_is_better=False),
        Metric("accuracy", "accuracy"),
        Metric("median_error", "rank error of the median", higher_is_better=False),
    )
    tie_break: ClassVar = figures[1]
    applicable: ClassVar = frozenset({"balance", "c", "min_probability"})

    def encode(self, raw: Sequence[RawLabel], known: Targets | None = None) -> Targets:
        labels = [_word(label) for label in raw]
        names = known.names if known is not None else tuple(_ordered(labels))
        rank = {name: k for k, name in enumerate(names)}
        ranks = torch.tensor([rank[label] for label in labels], dtype=torch.long)
        above = (ranks[:, None] > torch.arange(len(names) - 1)).float()
        return Targets(names, above, strata=tuple(labels))

    def unknown(self, raw: Sequence[RawLabel], known: Targets) -> list[str]:
        return sorted({_word(label) for label in raw} - set(known.names))

    def outputs(self, known: Targets) -> int:
        return len(known.names) - 1

    def solver_loss(self) -> Loss:
        return Cumulative()

    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        wanted = targets.to(outputs.dtype)
        return nn.functional.binary_cross_entropy_with_logits(outputs, wanted, reduction="none").sum(1)

    def trivial_loss(self, known: Targets) -> float:
        return self.outputs(known) * math.log(2)

    def decode(self, outputs: Tensor, known: Targets) -> list[dict[str, Any]]:
        rows = probabilities(outputs)
        return [
            {"label": known.names[rank], "probabilities": dict(zip(known.names, row, strict=True))}
            for rank, row in zip(ranks(outputs), rows.tolist(), strict=True)
        ]

    def as_label(self, answer: dict[str, Any]) -> RawLabel:
        return answer["label"]

    def nothing(self) -> dict[str, Any]:
        return {"label": None, "probabilities": {}}

    def metrics(self, outputs: Tensor, targets: Tensor, known: Targets) -> dict[str, float]:
        said, true = ranks(outputs), targets.sum(1).long().numpy()
        return {
            "quadratic_kappa": quadratic_kappa(said, true),
            "rank_error": float(np.abs(said - true).mean()),
            "accuracy": float((said == true).mean()),
            "median_error": float(np.abs(np.median(true) - true).mean()),
        }

    def sure(self, answer: dict[str, Any], least: float) -> dict[str, Any]:
        if answer["probabilities"][answer["label"]] >= least:
            return answer
        return {**answer, "label": None, "abstained": True}

    def headline(self, metrics: Mapping[str, float], count: int) -> str:
        return (
            f"On {count} held-out examples answers lie {metrics['rank_error']:.2f} ranks off in the mean "
            f"({metrics['median_error']:.2f} by always saying the median), with a quadratic kappa of "
            f"{metrics['quadratic_kappa']:.3f}."
        )

    def columns(self) -> tuple[str, ...]:
        return ("label", "probability")

    def cells(self, answer: dict[str, Any]) -> tuple[str, ...]:
        if answer["label"] is None:
            return "(not sure)", f"{max(answer['probabilities'].values()):.3f}"
        return answer["label"], f"{answer['probabilities'][answer['label']]:.3f}"

    def samples(self) -> list[RawLabel]:
        return ["low", "middle", "high", "middle"] * 4


def probabilities(outputs: Tensor) -> np.ndarray:
    """Of each label `(N, K + 1)`, from the logits of lying above each threshold `(N, K)`; rows sum to 1."""
    above = np.minimum.accumulate(outputs.double().sigmoid().numpy(), axis=1)
    ends = np.ones((len(above), 1))
    return np.concatenate([ends, above], 1) - np.concatenate([above, 0 * ends], 1)


def ranks(outputs: Tensor) -> np.ndarray:
    """The median of what each example's label may be `(N,)`: how many thresholds it passes with probability 1/2."""
    return (outputs > 0).cumprod(1).sum(1).numpy()


def quadratic_kappa(said: np.ndarray, true: np.ndarray) -> float:
    """Cohen's kappa with quadratic weights of ranks `(N,)`; 0 where both sides are constant."""
    from sklearn.metrics import cohen_kappa_score

    if len(set(said.tolist()) | set(true.tolist())) < 2:
        return 0.0
    return float(cohen_kappa_score(said, true, weights="quadratic"))


def _word(label: RawLabel) -> str:
    if not isinstance(label, str) or not label.strip():
        raise DataError(
            f"The labels hold '{label}'; one of several ordered labels is accepted per example.",
            "Name a column that holds them: --label COLUMN",
        )
    return label


def _ordered(labels: Sequence[str]) -> list[str]:
    """The labels from lowest to highest. Raises `DataError` where their order is not known, or there is one only."""
    counts = Counter(labels)
    if len(counts) < 2:
        raise DataError(
            f"All {len(labels)} examples have the label '{next(iter(counts), '')}'; two labels or more are accepted.",
            "Add examples of another label.",
        )
    places = _numbers(counts) or _scale(counts)
    if places is None or len(set(places.values())) < len(counts):
        shown = ", ".join(f"'{label}'" for label in sorted(counts)[:5])
        raise DataError(
            f"The order of the labels {shown} is not known; numbers, names that begin with one ('1 cold', '2 warm') "
            "and usual words (low, middle, high) are accepted.",
            "Begin each label with its place.",
        )
    if len(counts) > len(labels) / 2 > 5:
        raise DataError(
            f"The {len(labels)} examples have {len(counts)} different labels; a few ordered ones are accepted.",
            "If they are values, write: --task regress",
        )
    return sorted(counts, key=places.__getitem__)


def _numbers(labels: Mapping[str, int]) -> dict[str, float] | None:
    found = {label: re.match(r"\s*([-+]?\d+(?:\.\d+)?)(?![\w.])", label) for label in labels}
    if not all(found.values()):
        return None
    return {label: float(match[1]) for label, match in found.items() if match}


def _scale(labels: Mapping[str, int]) -> dict[str, float] | None:
    folded = {label: " ".join(re.split(r"[\s_-]+", label.strip().casefold())) for label in labels}
    for scale in SCALES:
        if set(folded.values()) <= set(scale):
            return {label: float(scale.index(word)) for label, word in folded.items()}
    return None
