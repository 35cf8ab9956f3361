"""What labels can be, and what turns features into answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskSpec:
    """What the labels are: the heads that fit (the first is the default) and the metrics that count."""

    name: str
    labels: str
    heads: tuple[str, ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class HeadSpec:
    """A head by name; `convex` says that the exact engine can solve it on stored features."""

    name: str
    factory: str
    convex: bool = False
