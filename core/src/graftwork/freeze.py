"""Which stages train: policies as data, applied to a backbone and proven afterwards by digests."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from graftwork.backbone import Backbone
from graftwork.errors import UsageError
from graftwork.registry import freeze_policy
from graftwork.specs import load_factory


@dataclass(frozen=True)
class StagePlan:
    """What happens to one stage: whether it trains, at which factor of the learning rate, and which of its
    parameters (a glob on their names)."""

    stage: str
    trains: bool
    rate: float = 1.0
    parameters: str = "*"


@dataclass(frozen=True)
class Plan:
    """One entry per stage, in order."""

    stages: tuple[StagePlan, ...]

    @property
    def frozen(self) -> tuple[str, ...]:
        """The stages of which nothing trains."""
        return tuple(stage.stage for stage in self.stages if not stage.trains)

    @property
    def all_frozen(self) -> bool:
        return not any(stage.trains for stage in self.stages)


class FreezePolicy(ABC):
    """Says which stages train in an epoch."""

    @abstractmethod
    def plan(self, stages: Sequence[str], epoch: int) -> Plan:
        """`stages` are the names, input to output; epochs count from 0."""


class HeadOnly(FreezePolicy):
    """Nothing of the backbone trains."""

    def plan(self, stages: Sequence[str], epoch: int) -> Plan:
        return Plan(tuple(StagePlan(name, trains=False) for name in stages))


def build_head_only(argument: str) -> HeadOnly:
    if argument:
        raise UsageError(f"The freeze policy 'head' takes no argument; '{argument}' was given.", "Write: --freeze head")
    return HeadOnly()


def parse(words: str) -> FreezePolicy:
    """The policy that short words mean (`head`, `last:2`): a registered name and its argument after a colon.

    Raises `UnknownName` for a name that nothing registered, `UsageError` for an argument that it refuses.
    """
    name, _, argument = words.partition(":")
    return load_factory(freeze_policy(name).factory)(argument)


def apply(plan: Plan, backbone: Backbone) -> None:
    """Freeze what the plan says: no gradients, and evaluation mode, so that statistics rest and dropout is off."""
    for stage, planned in zip(backbone.stages(), plan.stages, strict=True):
        stage.train(planned.trains)
        stage.requires_grad_(planned.trains)


def digest(module: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and bytes of a module's parameters and buffers."""
    sha = hashlib.sha256()
    for name, tensor in sorted(module.state_dict(keep_vars=True).items()):
        tensor = tensor.detach().cpu().contiguous()
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def stage_digests(backbone: Backbone) -> dict[str, str]:
    return {stage.name: digest(stage) for stage in backbone.stages()}


def weights_digest(stages: Mapping[str, str]) -> str:
    """One digest for a whole backbone, from those of its stages."""
    return hashlib.sha256(" ".join(f"{name}={value}" for name, value in stages.items()).encode()).hexdigest()


def certificate(plan: Plan, before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, Any]:
    """The proof of what was and was not trained: `ok` is False when a frozen stage moved."""
    moved = [name for name in before if before[name] != after[name]]
    return {
        "ok": not set(moved) & set(plan.frozen),
        "frozen": list(plan.frozen),
        "moved": moved,
        "stages": {name: {"before": before[name], "after": after[name]} for name in before},
    }
