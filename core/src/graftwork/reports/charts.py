"""Charts as inline SVG, from plain numbers.

They read in light, in dark and in print, since every colour is a property of the page's style, and none carries meaning
alone: series differ by dash and marker too, what was chosen is filled and said, cells have their numbers. Each has a
title and a description, which is its message in one sentence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

WIDTH, HEIGHT = 420, 250
ZOOM = 1.2
"""How much larger than its own units a chart is drawn at the most; letters of 11 are then about 13 pixels high."""
LONGEST = 24
"""How many letters of a name stand beside a chart; the table below it has all of them."""
ROOM = 6.3
"""About the width of a letter, in units of a chart."""
MARKS = 40
"""A line through more points than this has no markers."""


@dataclass(frozen=True)
class Series:
    """One line of a chart, or a cloud of points where it is not joined.

    points: x and y. band: x, low and high of an interval around it; may be empty.
    """

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()
    joined: bool = True


def figure(value: Any) -> str:
    """A figure in a few digits: three places after the point below 10, else four digits."""
    if value is None:
        return "–"
    if not isinstance(value, float):
        return f"{value:,}".replace(",", " ") if isinstance(value, int) else str(value)
    if value == 0 or 1e-3 <= abs(value) < 10:
        return f"{value:.3f}"
    return f"{value:.4g}"


def line_chart(
    name: str,
    title: str,
    says: str,
    series: Sequence[Series],
    x: str,
    y: str,
    *,
    diagonal: bool = False,
    doubling: bool = False,
    marked: float | None = None,
) -> Markup:
    """Lines over a common axis. name: of the chart in its page, unique. says: its message, a sentence.

    diagonal: draws where x is y, and gives both axes one range. doubling: the x axis is logarithmic, with a tick for
    each value. marked: an x that a dashed line stands at, such as the epoch that is kept.
    """
    xs = [point[0] for one in series for point in one.points]
    ys = [value for one in series for _, *rest in (*one.points, *one.band) for value in rest]
    if diagonal:
        xs = ys = [*xs, *ys]
    legend = 16 * len(series) if len(series) > 1 else 0
    left, right, top, bottom = 50, WIDTH - 14, 10 + legend, HEIGHT + legend - 38
    x_ticks = (
        sorted(set(xs))[:9] if doubling else ticks(min(xs), max(xs), 6, whole=all(float(at).is_integer() for at in xs))
    )
    y_ticks = ticks(min(ys), max(ys), 5)
    place_x = _scale(_widened([*xs, *x_ticks]), left + 6, right - 6, doubling)
    place_y = _scale(_widened([*ys, *y_ticks]), bottom, top)
    made = []
    for value in y_ticks:
        at = place_y(value)
        made += [_line("grid", left, at, right, at), _text(f"{value:g}", left - 6, at + 4, "end")]
    for value in x_ticks:
        at = place_x(value)
        made += [_line("grid", at, bottom, at, bottom + 4), _text(f"{value:g}", at, bottom + 16, "middle")]
    made.append(_text(x, (left + right) / 2, bottom + 32, "middle", "axis"))
    made.append(
        element("text", y, x=0, y=0, class_="axis", text_anchor="middle", transform=_turned(12, (top + bottom) / 2))
    )
    if diagonal:
        ends = max(x_ticks[0], y_ticks[0]), min(x_ticks[-1], y_ticks[-1])
        made.append(_line("diagonal", *(f(end) for end in ends for f in (place_x, place_y))))
    if marked is not None:
        made.append(_line("marked", place_x(marked), top, place_x(marked), bottom))
    for number, one in enumerate(series):
        look = f"s{number % 4}"
        if one.band:
            edge = [(at, high) for at, _, high in one.band] + [(at, low) for at, low, _ in reversed(one.band)]
            made.append(element("polygon", points=_places(edge, place_x, place_y), class_=f"band {look}"))
        if one.joined:
            made.append(element("polyline", points=_places(one.points, place_x, place_y), class_=f"line {look}"))
        if not one.joined or len(one.points) <= MARKS:
            made += [_marker(number, place_x(at), place_y(value), look) for at, value in one.points]
        if legend:
            at = 12 + 16 * number
            made += [_line(f"line {look}", left, at, left + 28, at), _marker(number, left + 14, at, look)]
            made.append(_text(one.name, left + 36, at + 4))
    return _svg(name, title, says, WIDTH, HEIGHT + legend, made)


def interval_chart(name: str, title: str, says: str, rows: Sequence[Mapping[str, Any]], x: str) -> Markup:
    """A point with its interval for each row, from top to bottom.

    rows: `name` and `score`, and where they are known `low`, `high` and `chosen`.
    """
    step, top = 24, 8
    left = 14 + ROOM * min(LONGEST, max(len(str(row["name"])) for row in rows))
    right, bottom = WIDTH - 14, top + step * len(rows)
    values = [float(row[key]) for row in rows for key in ("low", "score", "high") if row.get(key) is not None]
    x_ticks = ticks(min(values), max(values), 5)
    place = _scale(_widened([*values, *x_ticks]), left + 8, right - 8)
    made = []
    for value in x_ticks:
        made += [_line("grid", place(value), top, place(value), bottom + 4)]
        made += [_text(f"{value:g}", place(value), bottom + 16, "middle")]
    for number, row in enumerate(rows):
        at, chosen = top + step * (number + 0.5), bool(row.get("chosen"))
        made.append(_text(_short(str(row["name"])), left - 6, at + 4, "end", "chosen" if chosen else ""))
        if row.get("low") is not None and row.get("high") is not None:
            low, high = place(float(row["low"])), place(float(row["high"]))
            made += [_line("error", low, at, high, at)]
            made += [_line("error", end, at - 4, end, at + 4) for end in (low, high)]
        score = place(float(row["score"]))
        made.append(_marker(1, score, at, "s0", 6) if chosen else _marker(0, score, at, "hollow s0", 4.5))
    made.append(_text(x, (left + right) / 2, bottom + 32, "middle", "axis"))
    return _svg(name, title, says, WIDTH, bottom + 40, made)


def heat_map(
    name: str, title: str, says: str, rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]],
    row: str = "true", column: str = "answered",
) -> Markup:  # fmt: skip
    """A cell for each count, the darker the larger its part of the row; those of equal names are framed.

    row, column: what the names at the left and at the top are.
    """
    cell = max(12.0, min(44.0, 300 / max(1, len(columns))))
    # A name at the top leans to the right over its column.
    letters = [ROOM * min(LONGEST, max(map(len, names), default=0)) + 10 for names in (rows, columns)]
    left, top = letters[0] + 16, letters[1] * 0.75 + 18
    size = max(6.0, min(12.0, cell * 0.42))
    made = [
        _text(column, left, 11, "start", "axis"),
        element("text", row, class_="axis", text_anchor="middle", transform=_turned(11, top + cell * len(rows) / 2)),
    ]
    frames = []
    for number, word in enumerate(columns):
        at = left + cell * (number + 0.5)
        made.append(element("text", _short(word), transform=f"translate({at:.1f} {top - 5:.1f}) rotate(-45)"))
    for number, (word, line) in enumerate(zip(rows, counts, strict=True)):
        at, total = top + cell * number, sum(line)
        made.append(_text(_short(word), left - 6, at + cell / 2 + 4, "end"))
        for place, count in enumerate(line):
            share = count / total if total else 0.0
            box = {"x": left + cell * place, "y": at, "width": cell, "height": cell}
            # Up to 0.7: letters on it keep their contrast.
            made.append(element("rect", **box, class_="cell", fill_opacity=f"{0.7 * share:.3f}"))
            if columns[place] == word:
                frames.append(element("rect", **box, class_="same"))
            if count:
                middle = left + cell * (place + 0.5), at + cell / 2 + size * 0.36
                made.append(_text(figure(count), *middle, "middle", "", f"font-size:{size:.1f}px"))
    width = left + cell * len(columns) + max(8.0, letters[1] * 0.75 - cell / 2)
    return _svg(name, title, says, width, top + cell * len(rows) + 6, [*made, *frames])


def element(_name: str, *inside: object, **attributes: object) -> Markup:
    """An element of these attributes; everything in it that is no markup yet is escaped."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{f"{value:.1f}" if isinstance(value, float) else escape(value)}"'
        for key, value in attributes.items()
        if value != ""
    )
    return Markup(f"<{_name}{said}>{''.join(map(escape, inside))}</{_name}>")


def ticks(low: float, high: float, most: int, whole: bool = False) -> list[float]:
    """Round numbers from below `low` to above `high`, about `most` of them. whole: no fractions."""
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):  # all the same
        low, high = low - (abs(low) or 1) * 0.1, high + (abs(high) or 1) * 0.1
    rough = max((high - low) / most, float(whole))
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{step * number:.12g}") for number in range(first, last + 1)]


def _widened(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 1, high + 1)


def _scale(ends: tuple[float, float], begin: float, end: float, logarithmic: bool = False):
    low, high = (math.log(max(value, 1e-9)) for value in ends) if logarithmic else ends

    def place(value: float) -> float:
        value = math.log(max(value, 1e-9)) if logarithmic else value
        return begin + (value - low) / (high - low) * (end - begin)

    return place


def _places(points: Sequence[tuple[float, float]], place_x: Any, place_y: Any) -> str:
    return " ".join(f"{place_x(x):.1f},{place_y(y):.1f}" for x, y in points)


def _marker(number: int, x: float, y: float, look: str, size: float = 4.0) -> Markup:
    """A disc, a diamond, a square or a triangle."""
    shape = number % 4
    if shape == 0:
        return element("circle", cx=x, cy=y, r=size * 0.85, class_=f"mark {look}")
    if shape == 2:
        side = size * 1.5
        return element("rect", x=x - side / 2, y=y - side / 2, width=side, height=side, class_=f"mark {look}")
    corners = (
        [(0, -size), (size, 0), (0, size), (-size, 0)] if shape == 1 else [(0, -size), (size, size), (-size, size)]
    )
    return element("polygon", points=" ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in corners), class_=f"mark {look}")


def _line(look: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return element("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=look)


def _text(words: str, x: float, y: float, anchor: str = "", look: str = "", style: str = "") -> Markup:
    return element("text", words, x=float(x), y=float(y), text_anchor=anchor, class_=look, style=style)


def _turned(x: float, y: float) -> str:
    return f"translate({x:.1f} {y:.1f}) rotate(-90)"


def _short(word: str) -> str:
    return word if len(word) <= LONGEST else f"{word[: LONGEST - 1]}…"


def _svg(name: str, title: str, says: str, width: float, height: float, inside: Sequence[Markup]) -> Markup:
    about = element("title", title, id=f"{name}-title") + element("desc", says, id=f"{name}-says")
    return element(
        "svg", about, *inside, class_="chart", role="img", aria_labelledby=f"{name}-title {name}-says",
        viewBox=f"0 0 {width:.0f} {height:.0f}", width=f"{width * ZOOM:.0f}",
    )  # fmt: skip
