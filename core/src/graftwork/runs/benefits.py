"""What a comparison means, in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graftwork.specs.contracts import plural
from graftwork.training.cross_validation import Scores

if TYPE_CHECKING:
    from graftwork.runs.compare import Comparison

NOTHING, FROZEN, TUNED = "from nothing", "frozen", "tuned"
"""Ways to train, beside raw input."""

POINT = 0.01


def sentences(found: Comparison) -> list[str]:
    """One on each benefit of transfer: a higher start, a steeper slope, a higher end; on what the encoder wins over raw
    input, or loses; and on how much more data would help."""
    rows, metric = found.rows, found.task.primary.words
    raw = next((name for name in rows if name.startswith("raw input")), None)
    said = []
    if TUNED in rows and NOTHING in rows:
        said += [_start(found), _slope(found), _end(found, TUNED, NOTHING)]
    best = max((name for name in (FROZEN, TUNED) if name in rows), key=lambda name: _good(rows[name].scores))
    if raw:
        better, error = rows[best].scores.above(rows[raw].scores)
        if better > error:
            said.append(f"Against {raw} the {best} encoder wins {better:.3f} of {metric} ({error:.3f} standard error).")
        elif better < -error:
            said.append(
                f"Negative transfer: {raw} does better than the encoder by {-better:.3f} of {metric} "
                f"({error:.3f} standard error)."
            )
        else:
            said.append(f"Against {raw} no difference can be told: {better:+.3f} of {metric} ({error:.3f}).")
    if TUNED in rows:
        better, error = rows[TUNED].scores.above(rows[FROZEN].scores)
        verb = "gains" if better > error else "loses" if better < -error else "changes nothing that can be told:"
        said.append(f"To train the encoder too {verb} {abs(better):.3f} of {metric} ({error:.3f} standard error).")
    return [*said, *_more(found)]


def _good(one: Scores) -> float:
    return one.sign * one.value


def _start(found: Comparison) -> str:
    tuned, nothing = found.epochs[TUNED][0], found.epochs[NOTHING][0]
    better, error = tuned.above(nothing)
    words = "Higher start" if better > error else "No higher start"
    return (
        f"{words}: {tuned.value:.3f} on validation examples after the first epoch, {nothing.value:.3f} from nothing "
        f"({error:.3f} standard error)."
    )


def _slope(found: Comparison) -> str:
    """By the epochs that each needs to come to nine tenths of the way to the best of both."""
    sign = found.rows[TUNED].scores.sign
    curves = {name: [_good(one) for one in found.epochs[name]] for name in (TUNED, NOTHING)}
    least, most = min(map(min, curves.values())), max(map(max, curves.values()))
    goal = least + 0.9 * (most - least)
    tuned, nothing = (next((n for n, value in enumerate(curves[name], 1) if value >= goal), None) for name in curves)
    if tuned is None:
        return (
            f"No steeper slope: {sign * goal:.3f} is never reached, from nothing after {plural(nothing or 0, 'epoch')}."
        )
    if nothing is None:
        reached = f"{sign * goal:.3f} after {plural(tuned, 'epoch')}"
        return f"Steeper slope: {reached}; from nothing not in {len(curves[NOTHING])}."
    words = "Steeper slope" if tuned < nothing else "No steeper slope"
    return f"{words}: {sign * goal:.3f} after {plural(tuned, 'epoch')}, from nothing after {nothing}."


def _end(found: Comparison, one: str, other: str) -> str:
    first, second = found.rows[one].scores, found.rows[other].scores
    better, error = first.above(second)
    words = "Higher end" if better > error else "Lower end" if better < -error else "No higher end"
    return f"{words}: {first.value:.3f} against {second.value:.3f} {other} ({error:.3f} standard error)."


def _more(found: Comparison) -> list[str]:
    """How many more examples would buy a point, by a power law through the last sizes of the frozen encoder."""
    sizes = [(n, _good(one)) for n, one in found.sizes.get(FROZEN, ())][-3:]
    sign = found.rows[FROZEN].scores.sign
    if len(sizes) < 3 or sign < 0:
        return []
    errors = [(math.log(n), math.log(max(1 - good, 1e-3))) for n, good in sizes]
    mean_n, mean_e = (sum(column) / len(errors) for column in zip(*errors, strict=True))
    slope = sum((n - mean_n) * (e - mean_e) for n, e in errors) / sum((n - mean_n) ** 2 for n, _ in errors)
    last, good = sizes[-1]
    if slope > -0.05 or 1 - good <= 2 * POINT:
        return ["More examples of this kind would buy little: the last doublings of their number did not."]
    more = last * ((1 - good - POINT) / (1 - good)) ** (1 / slope) - last
    return [f"About {max(1, math.ceil(more))} more examples of each label would buy a point (extrapolated)."]
