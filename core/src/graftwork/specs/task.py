"""Specs of tasks and heads, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graftwork.specs.annotations import Annotation

RawLabel = str | Sequence[str] | Mapping[str, str] | Annotation
"""A label as stored in the data: a cell's text, the items of a list cell, the texts of several columns by name, or an
annotation that lies in the input."""

DEFAULT_TASK = "classify"
"""The task where none is named."""


@dataclass(frozen=True)
class TaskSpec:
    """A kind of task, described.

    name: as --task takes it ("ordinal"). factory: names a `graftwork.Task` subclass, or one of `graftwork.DenseTask`
    for answers that lie in the input. labels: what its labels are, in words ("one label per example").
    heads: the names of heads that fit; the first is the default, and --head names another.
    blank_is_label: whether a blank cell is a label (nothing is there) instead of a missing one.
    names: whether labels are names, which are one label however they are written (`1` and `1.0`), and can be mapped.
    separator: what separates several names in one cell; empty for one name a cell.
    annotation: the kind of its labels where they lie in the input or describe it as a whole: "spans", "boxes", "mask"
    or "transcript"; empty for cells. modality: the only one that it is for; empty for all.
    """

    name: str
    factory: str
    labels: str
    heads: tuple[str, ...]
    blank_is_label: bool = False
    names: bool = True
    separator: str = ""
    annotation: str = ""
    modality: str = ""


@dataclass(frozen=True)
class HeadSpec:
    """A head by name.

    name: as --head takes it. factory: names `build(features, outputs) -> Head`; features is the width of the view, or
    of each map of a pyramid by its stride. convex: the exact engine can solve it on stored features; its outputs are an
    affine map of them (of each position) that `load_solution` sets. reads: the view that it takes ("pooled",
    "sequence", "map", "pyramid"). strides: the maps that it takes of a pyramid; 1 stands for the prepared pixels.
    """

    name: str
    factory: str
    convex: bool = False
    reads: str = "pooled"
    strides: tuple[int, ...] = ()
