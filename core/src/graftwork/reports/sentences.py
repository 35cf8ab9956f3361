"""What a chart says, in one sentence each, from the figures that it draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graftwork.reports.charts import figure
from graftwork.specs.agreement import OPTIONAL


def interval(row: Mapping[str, Any]) -> str:
    """A score with its interval: `0.912 (0.880 to 0.944)`."""
    if row.get("low") is None or row.get("high") is None:
        return figure(row["score"])
    return f"{figure(row['score'])} ({figure(row['low'])} to {figure(row['high'])})"


def stages(name: str) -> str:
    """A stage, or several joined by "+", in a few words: of more than two the first and the last."""
    first, *others = name.split("+")
    return name if len(others) < 2 else f"{first} to {others[-1]}"


def conversion(step: Mapping[str, Any]) -> str:
    """A step of an agreement."""
    if step["fact"] == OPTIONAL:
        return f"{step['converter']}, an optional step"
    return f"{step['fact'].replace('_', ' ')} {step['seen']} to {step['to']} by {step['converter']}"


def depths(rows: Sequence[Mapping[str, Any]], metric: str) -> str:
    """rows: `stage`, `score`, `chosen`, from the first to the last stage."""
    last = rows[-1]
    chosen = next((row for row in rows if row.get("chosen")), None)
    if chosen is None:
        return f"The last stage, '{last['stage']}', gives {metric} {interval(last)}."
    if chosen is last:
        return f"The last stage, '{last['stage']}', was chosen: {metric} {interval(last)}."
    what = f"'{stages(chosen['stage'])}' was chosen: {metric} {interval(chosen)}"
    return f"{what}; the last stage, '{last['stage']}', gives {interval(last)}."


def tried(rows: Sequence[Mapping[str, Any]], metric: str) -> str:
    """rows: `what`, `score`, `chosen`, `why`."""
    chosen = [row for row in rows if row.get("chosen")]
    if not chosen:
        return f"{len(rows)} were tried, and none was chosen."
    if len(chosen) > 1:
        return f"Of {len(rows)} that were tried these were chosen: {', '.join(str(row['what']) for row in chosen)}."
    why = f": {chosen[0]['why'].rstrip('.')}" if chosen[0].get("why") else ""
    return f"Of {len(rows)} that were tried '{chosen[0]['what']}' was chosen, {metric} {interval(chosen[0])}{why}."


def ranked(rows: Sequence[Mapping[str, Any]], metric: str) -> str:
    """rows: `name` and `score`, the best first."""
    first = f"'{rows[0]['name']}' is first with {metric} {interval(rows[0])}"
    if len(rows) == 1:
        return f"{first}."
    tie = ", which is a tie" if rows[1].get("tie") else ""
    return f"{first}; '{rows[1]['name']}' follows with {interval(rows[1])}{tie}."


def sizes(series: Mapping[str, Sequence[Mapping[str, Any]]], metric: str) -> str:
    """series: by name rows of `n` and `score`, from few examples to many."""
    said = [
        f"{f'{name} ' if name else ''}{figure(rows[0]['score'])} with {rows[0]['n']} examples and "
        f"{figure(rows[-1]['score'])} with {rows[-1]['n']}"
        for name, rows in series.items()
    ]
    return f"{metric[:1].upper()}{metric[1:]}: {'; '.join(said)}."


def epochs(name: str, points: Sequence[tuple[float, float]], kept: float | None) -> str:
    """points: epoch and figure."""
    (first, begin), (last, end) = points[0], points[-1]
    if first == last:
        return f"{name} is {figure(begin)} after epoch {first:g}."
    best = {epoch: value for epoch, value in points if epoch == kept and epoch != last}
    if kept == first:
        return (
            f"{name} is {figure(begin)} after epoch {first:g}, which is kept, and {figure(end)} after epoch {last:g}."
        )
    middle = "".join(f"{figure(value)} after epoch {epoch:g}, which is kept, and " for epoch, value in best.items())
    return f"{name} goes from {figure(begin)} after epoch {first:g} to {middle}{figure(end)} after epoch {last:g}."


def calibration(found: Mapping[str, Any]) -> str:
    """found: `temperature`, `ece_before` and `ece_after`, errors of 0..1."""
    said = f"How sure an answer is and how often it is right differ by {found['ece_after']:.1%} in the mean"
    if found["temperature"] == 1:
        return f"{said}."
    return f"{said}; before the temperature of {figure(float(found['temperature']))} by {found['ece_before']:.1%}."


def certificate(found: Mapping[str, Any]) -> str:
    """found: the certificate of a run."""
    frozen, stages = len(found["frozen"]), len(found["stages"])
    if not found["ok"]:
        return f"{len(found['leaked'])} frozen tensors MOVED; the first: {found['leaked'][0]}."
    trained = sum(len(entry["trained"]) for entry in found["stages"].values())
    if not frozen:
        return f"No stage was frozen as a whole; {trained} tensors of the encoder were trained."
    rest = "nothing in the encoder was trained" if not trained else f"{trained} tensors of the others were trained"
    return f"{frozen} of {stages} stages were frozen and did not move, by their digests; {rest}."
