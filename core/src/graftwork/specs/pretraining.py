"""Networks that can be pretrained, and what for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graftwork.specs.backbone import Recipe


@dataclass(frozen=True)
class ArchitectureSpec:
    """A network that `graftwork.pretrain` can train from nothing, described.

    name: its `model_type` in a config.json. sizes: fields of that file, by the name of a size; the first is the
    default. factory: names `make(folder, fields, values)`, which writes into an empty folder what a model of this shape
    is in hub layout: config.json, what prepares its input, and random weights by torch's generator. `values` yields the
    decoded examples, for a tokenizer to learn from; a field that the network does not have raises `UsageError`.
    """

    name: str
    modality: str
    factory: str
    sizes: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class ObjectiveSpec:
    """What a network can be pretrained for, described.

    factory: names a `graftwork.Objective` subclass. architectures: the names of those that it is for; none, for all.
    least: by modality, the amount of data below which nothing transfers, in the unit of the modality's `amount` (the
    number of examples where it has none); 0 where nothing is said. teacher, labels: whether it wants these.
    recipe: how it trains where the user says nothing.
    """

    name: str
    factory: str
    summary: str
    architectures: tuple[str, ...] = ()
    least: Mapping[str, float] = field(default_factory=dict)
    teacher: bool = False
    labels: bool = False
    recipe: Recipe = field(default_factory=Recipe)
