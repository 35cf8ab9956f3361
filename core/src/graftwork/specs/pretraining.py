"""Specs of networks that can be pretrained, and of the objectives they are pretrained with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graftwork.specs.backbone import Recipe


@dataclass(frozen=True)
class ArchitectureSpec:
    """A network that `graftwork.pretrain` can train from scratch, described.

    name: its `model_type` in config.json. modality: of what it reads. sizes: config.json fields by the name of a size;
    the first size is the default. factory: names `make(folder, fields, values)`, which fills an empty folder in hub
    layout with a model of these fields: config.json, the files that prepare its input, and random weights from torch's
    generator. `values` yields the decoded examples, from which a tokenizer can learn. Raises `UsageError` for a field
    that the network does not have.
    """

    name: str
    modality: str
    factory: str
    sizes: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class ObjectiveSpec:
    """A pretraining objective, described.

    name: as --objective takes it. summary: what is learned, in words.
    factory: names a `graftwork.Objective` subclass. architectures: names of the architectures that it supports; empty
    for all.
    least: by modality, the smallest amount of data from which anything transfers, in the unit of the modality's
    `amount` (the number of examples where it has none); 0 for a modality that is not listed. teacher, labels: whether
    it needs an encoder to learn from, and labelled data.
    recipe: the default training settings.
    """

    name: str
    factory: str
    summary: str
    architectures: tuple[str, ...] = ()
    least: Mapping[str, float] = field(default_factory=dict)
    teacher: bool = False
    labels: bool = False
    recipe: Recipe = field(default_factory=Recipe)
