"""`regress`: one value, or several, for each example."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from graftwork.errors import DataError
from graftwork.specs.task import RawLabel
from graftwork.tasks.parts import Mistake, ReportPart, ScatterPlot
from graftwork.tasks.task import Answer, Metric, Targets, Task, words_only

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.tasks.losses import Loss

BINS, IN_A_BIN = 10, 5
"""A split holds out a part of each of so many ranges of values, with at least so many examples each."""

MOST_POINTS, MOST_PLOTS = 400, 4
"""How many examples and how many values a report draws."""

DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(e[-+]?\d+)?", re.IGNORECASE)
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
"""A number with one comma, and one whose comma may group thousands."""


class Regress(Task):
    """Labels are numbers. A head works on values scaled to mean 0 and deviation 1 (of their logarithm with
    `--target-transform log`); answers and figures are in the unit of the data."""

    figures: ClassVar = (
        Metric("rmse", "RMSE", higher_is_better=False),
        Metric("mae", "MAE", higher_is_better=False),
        Metric("r2", "R2"),
        Metric("spearman", "Spearman"),
        Metric("mean_rmse", "RMSE of the mean", higher_is_better=False),
        Metric("mean_mae", "MAE of the mean", higher_is_better=False),
    )
    tie_break: ClassVar = figures[1]
    applicable: ClassVar = frozenset({"c", "target_transform"})

    def encode(self, raw: Sequence[RawLabel], known: Targets | None = None) -> Targets:
        import torch

        names, rows = self._rows(raw)
        if known is None:
            known = Targets(names, torch.zeros(0), self._learn(rows))
        mean, scale = (np.array(known.learned[name]) for name in ("mean", "scale"))
        return replace(known, values=torch.from_numpy((rows - mean) / scale).float(), strata=_strata(rows))

    def check(self, raw: Sequence[RawLabel]) -> None:
        self._learn(self._rows(raw)[1])

    def _rows(self, raw: Sequence[RawLabel]) -> tuple[tuple[str, ...], np.ndarray]:
        """The names of the values, and the values `(N, K)` float64, transformed."""
        names, rows = _numbers(raw)
        return names, _logarithms(rows) if self.transform == "log" else rows

    def _learn(self, rows: np.ndarray) -> dict[str, object]:
        """Raises `DataError` where all values are the same."""
        scale = rows.std(0)
        if not scale.all():
            raise DataError(
                f"All {len(rows)} examples have the value {rows[0, int(scale.argmin())]:g}; values that differ are "
                "accepted.",
                "Name another column: --label COLUMN",
            )
        return {"transform": self.transform, "mean": rows.mean(0).tolist(), "scale": scale.tolist()}

    def tally(self, raw: Sequence[RawLabel]) -> dict[str, int]:
        return {}

    def solver_loss(self) -> Loss:
        from graftwork.tasks.losses import Squares

        return Squares()

    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        return (outputs - targets).square().sum(1) / 2

    def trivial_loss(self, known: Targets) -> float:
        return len(known.names) / 2

    def decode(self, outputs: Tensor, known: Targets) -> list[Answer]:
        rows = values(outputs, known).tolist()
        if len(known.names) == 1:
            return [{"value": row[0]} for row in rows]
        return [{"values": dict(zip(known.names, row, strict=True))} for row in rows]

    def as_label(self, answer: Answer) -> RawLabel:
        if "values" in answer:
            return {name: repr(value) for name, value in answer["values"].items()}
        return repr(answer["value"])

    def nothing(self) -> Answer:
        return {"value": None}

    def metrics(self, outputs: Tensor, targets: Tensor, known: Targets) -> dict[str, float]:
        """Means over the values where there are several."""
        said, true = values(outputs, known), values(targets, known)
        mean = values(outputs.new_zeros(1, len(known.names)), known)
        total = np.square(true - true.mean(0)).sum(0)
        return {
            "rmse": _rmse(said, true),
            "mae": float(np.abs(said - true).mean()),
            "r2": float(
                np.where(total > 0, 1 - np.square(said - true).sum(0) / np.where(total > 0, total, 1), 0).mean()
            ),
            "spearman": _spearman(said, true),
            "mean_rmse": _rmse(mean, true),
            "mean_mae": float(np.abs(mean - true).mean()),
        }

    def headline(self, metrics: Mapping[str, float], count: int) -> str:
        return (
            f"On {count} held-out examples the values are off by {metrics['mae']:.4g} in the mean (RMSE "
            f"{metrics['rmse']:.4g}); always saying the mean is off by {metrics['mean_mae']:.4g} "
            f"(RMSE {metrics['mean_rmse']:.4g})."
        )

    def parts(self, outputs: Tensor, targets: Tensor, known: Targets) -> list[ReportPart]:
        said, true = values(outputs, known), values(targets, known)
        rows = np.linspace(0, len(said) - 1, min(len(said), MOST_POINTS)).astype(int)
        made: list[ReportPart] = []
        for k, name in enumerate(known.names[:MOST_PLOTS]):
            off = np.abs(said[:, k] - true[:, k])
            says = f"Half of the answers are off by less than {np.median(off):.4g}, the worst by {off.max():.4g}."
            points = [(float(f"{true[row, k]:.5g}"), float(f"{said[row, k]:.5g}")) for row in rows]
            title = "Values" if len(known.names) == 1 else f"Values of {name}"
            made.append(ScatterPlot(title, says, "true", "answered", points))
        return made

    def mistakes(self, outputs: Tensor, targets: Tensor, known: Targets) -> Iterator[Mistake]:
        """The examples whose values are furthest off, measured as the head is trained."""
        said, true = values(outputs, known), values(targets, known)
        for row in (outputs - targets).square().sum(1).argsort(descending=True).tolist():
            words, off = ([f"{value:.4g}" for value in found] for found in (said[row], said[row] - true[row]))
            if len(words) > 1:
                words, off = ([f"{n} {w}" for n, w in zip(known.names, f, strict=True)] for f in (words, off))
            yield Mistake(row, ", ".join(words), f"off by {', '.join(off)}")

    def columns(self) -> tuple[str, ...]:
        return ("value",)

    def cells(self, answer: Answer) -> tuple[str, ...]:
        if "values" in answer:
            return (", ".join(f"{name} {value:.6g}" for name, value in answer["values"].items()),)
        return (f"{answer['value']:.6g}",)

    def as_row(self, answer: Answer, top: int = 1) -> dict[str, Any]:
        """`value`, or a column for each of several values."""
        return dict(answer["values"]) if "values" in answer else {"value": answer["value"]}

    def samples(self) -> list[RawLabel]:
        return [str(number**2 / 4 + 1) for number in range(12)]


def values(outputs: Tensor, known: Targets) -> np.ndarray:
    """Outputs `(N, K)`, or rows of targets, in the unit of the data, float64."""
    learned = known.learned
    found = outputs.double().numpy() * np.array(learned["scale"]) + np.array(learned["mean"])
    return np.exp(found) if learned["transform"] == "log" else found


def _numbers(raw: Sequence[RawLabel]) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of the values, and the values `(N, K)` float64. Raises `DataError` for what is no finite number."""
    if raw and isinstance(raw[0], Mapping):
        names = tuple(raw[0])
        columns = [_column([label[name] for label in raw], f"The column '{name}' holds") for name in names]  # pyright: ignore
    else:
        names = ("value",)
        columns = [_column(words_only(raw, "one number per example"), "The labels hold")]
    return names, np.array(columns, dtype=np.float64).reshape(len(names), len(raw)).T


def _column(cells: Sequence[str], place: str) -> list[float]:
    """The numbers of a column. Where a comma stands for the decimal point, it does so in all of them.

    Raises `DataError` for what is no finite number, for commas that may group thousands, and for commas beside points.
    """
    commas = [cell for cell in cells if "," in cell]
    for cell in commas:
        if not DECIMAL_COMMA.fullmatch(cell.strip()):
            _number(cell, place)
    if not commas:
        return [_number(cell, place) for cell in cells]
    if all(THOUSANDS.fullmatch(cell.strip()) for cell in commas):
        raise DataError(
            f"{place} '{commas[0]}', which may be {commas[0].replace(',', '.')} or {commas[0].replace(',', '')}.",
            "Write decimals with a point, and thousands without a sign.",
        )
    if points := next((cell for cell in cells if "." in cell), None):
        raise DataError(
            f"{place} '{commas[0]}' and '{points}'; decimals after a comma or after a point are accepted, not both.",
            "Write all with a point, and thousands without a sign.",
        )
    return [_number(cell.replace(",", "."), place) for cell in cells]


def _number(cell: str, place: str) -> float:
    try:
        found = float(cell)
    except ValueError:
        raise DataError(
            f"{place} '{cell[:60]}'; numbers are accepted for regress.",
            "Name a column of numbers: --label COLUMN, or say that labels are names: --task classify",
        ) from None
    if not math.isfinite(found):
        raise DataError(f"{place} '{cell}'; finite numbers are accepted.", "Mend or remove that example.")
    return found


def _logarithms(rows: np.ndarray) -> np.ndarray:
    if (rows <= 0).any():
        raise DataError(
            f"--target-transform log takes values above 0; the least of them is {rows.min():g}.", "Leave it out."
        )
    return np.log(rows)


def _strata(rows: np.ndarray) -> tuple[str, ...]:
    """The range that each example's value lies in, by quantiles; of several values, of their mean rank."""
    count = len(rows)
    ranks = rows.argsort(0, kind="stable").argsort(0, kind="stable").mean(1)
    bins = max(1, min(BINS, count // IN_A_BIN))
    places = ranks.argsort(kind="stable").argsort(kind="stable") * bins // max(1, count)
    return tuple(f"range {place}" for place in places)


def _rmse(said: np.ndarray, true: np.ndarray) -> float:
    return float(np.sqrt(np.square(said - true).mean(0)).mean())


def _spearman(said: np.ndarray, true: np.ndarray) -> float:
    """Spearman's rank correlation; 0 where either side is constant."""
    from scipy.stats import rankdata

    found = []
    for one, other in zip(said.T, true.T, strict=True):
        a, b = (rankdata(side) - (len(side) + 1) / 2 for side in (one, other))
        size = math.sqrt(float(a @ a) * float(b @ b))
        found.append(float(a @ b) / size if size else 0.0)
    return float(np.mean(found))
