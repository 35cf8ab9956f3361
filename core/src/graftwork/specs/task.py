"""Kinds of questions, and what turns features into outputs: both by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RawLabel = str | Sequence[str] | Mapping[str, str]
"""A label as the data have it: a cell's text, the items of a list cell, or the texts of several columns by name."""

DEFAULT_TASK = "classify"
"""The task of labels of which nothing is said."""


@dataclass(frozen=True)
class TaskSpec:
    """A kind of question, described.

    factory: names a `graftwork.Task` subclass. labels: what its labels are, in words ("one label per example").
    heads: the names of heads that fit; the first is taken.
    reads: the view of an encoder that its head takes ("pooled").
    blank_is_label: whether a blank cell is a label (of which nothing is there) instead of a missing one.
    """

    name: str
    factory: str
    labels: str
    heads: tuple[str, ...]
    reads: str = "pooled"
    blank_is_label: bool = False


@dataclass(frozen=True)
class HeadSpec:
    """A head by name. factory: names `build(features, outputs) -> Head`. convex: the exact engine can solve it on
    stored features, since its outputs are an affine map of them that `load_solution` sets."""

    name: str
    factory: str
    convex: bool = False
