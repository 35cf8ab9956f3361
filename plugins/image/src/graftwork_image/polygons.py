"""Polygons as pixels: those whose centres are inside by the even-odd rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CORNERS = 72
"""Of an ellipse as a polygon; its area is off by a thousandth."""


def fill(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> tuple[slice, slice, np.ndarray]:
    """The pixels that polygons cover together, by the even-odd rule.

    polygons: x1, y1, x2, y2, ... of each in pixels; the last corner is joined to the first. size: width and height.
    Returns the rows and columns around them inside the image, and booleans of their shape. A centre on an edge is
    inside where the polygon lies right of it or below.
    """
    width, height = size
    edges = np.concatenate([np.zeros((0, 4)), *(_edges(polygon) for polygon in polygons)])
    xs, ys = edges[:, [0, 2]], edges[:, [1, 3]]
    if not len(edges):
        return slice(0, 0), slice(0, 0), np.zeros((0, 0), bool)
    top, bottom = (int(row) for row in np.clip([np.floor(ys.min()), np.ceil(ys.max())], 0, height))
    left, right = (int(column) for column in np.clip([np.floor(xs.min()), np.ceil(xs.max())], 0, width))
    # The first row, and the first no more, whose centres are level with an edge.
    begins, ends = (
        np.clip(np.ceil(sides - 0.5), top, bottom).astype(int) for sides in (ys.min(axis=1), ys.max(axis=1))
    )
    counts = ends - begins
    edge = np.repeat(np.arange(len(edges)), counts)
    row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + begins[edge]
    x, y, to_x, to_y = edges[edge].T
    crossed = x + (row + 0.5 - y) * ((to_x - x) / (to_y - y))
    column = np.clip(np.ceil(crossed - 0.5), left, right).astype(int)
    shape = bottom - top, right - left + 1
    places = np.ravel_multi_index((row - top, column - left), shape)
    crossings = np.bincount(places, minlength=shape[0] * shape[1]).reshape(shape)
    return slice(top, bottom), slice(left, right), np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1


def ellipse(x: float, y: float, across: float, down: float, degrees: float = 0.0) -> tuple[float, ...]:
    """Corners of an ellipse as a polygon. x, y: its centre. across, down: its radii. degrees: how far it is turned
    clockwise.
    """
    turn, angles = np.radians(degrees), np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    right, below = across * np.cos(angles), down * np.sin(angles)
    xs, ys = x + right * np.cos(turn) - below * np.sin(turn), y + right * np.sin(turn) + below * np.cos(turn)
    return tuple(np.stack([xs, ys], axis=1).ravel().tolist())


def around(corners: Sequence[float]) -> tuple[float, float, float, float]:
    """xmin, ymin, xmax and ymax of the box around a polygon."""
    xs, ys = corners[::2], corners[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def _edges(polygon: Sequence[float]) -> np.ndarray:
    corners = np.asarray(polygon, np.float64).reshape(-1, 2)
    return np.concatenate([corners, np.roll(corners, -1, axis=0)], axis=1)
