"""Explain what a freeze policy does to an encoder, without its weights: stages, parameters, rates and epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from graftwork.freeze import freezing, policies
from graftwork.freeze.policies import Plan
from graftwork.models.backbone import load_backbone
from graftwork.plugins import registry
from graftwork.specs.settings import Settings, decide


@dataclass(frozen=True)
class Phase:
    """Epochs `first` to `last` (from 1, inclusive) with the same plan.

    stages: for each stage that runs: its name, the numbers of parameters that train and that are frozen, and the peak
    learning rate.
    """

    first: int
    last: int
    stages: list[dict[str, Any]]
    head_lr: float


@dataclass(frozen=True)
class Explained:
    """A freeze policy, explained for a backbone. solved: the head is solved exactly and every stage stays frozen."""

    backbone: str
    freeze: str
    tap: str
    solved: bool
    head_first: bool
    source: str
    phases: list[Phase]

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "phases": [vars(phase) for phase in self.phases]}


def explain(backbone: str, words: str, *, tap: str = "last", **settings: Any) -> Explained:
    """What `fit` with this policy trains.

    settings: fields of `Settings`; only `epochs`, `lr` and `head_lr` matter here. `epochs` defaults to the recipe's
    (few data take more).

    Raises what `parse` and the policy raise, and `UsageError` for a pattern that matches nothing.
    """
    spec = registry.backbone(backbone)
    policy = policies.parse(words)
    names = spec.stages[: spec.tap(tap) + 1]
    # So many examples that `decide` keeps the recipe's epochs.
    decided = decide(Settings.of(settings), spec.recipe, 1_000_000)
    plans = [policy.plan(names, epoch) for epoch in range(decided.epochs)]
    policies.check_trainable(spec, words, plans)
    # On "meta" a model has shapes only, so no weights are drawn or allocated.
    with torch.device("meta"):
        stages = load_backbone(spec, pretrained=False).stages()[: len(names)]
        for plan in plans:
            freezing.adapt(plan, stages)
    phases: list[Phase] = []
    for epoch, plan in enumerate(plans):
        if phases and plan == plans[epoch - 1]:
            phases[-1] = Phase(phases[-1].first, epoch + 1, phases[-1].stages, phases[-1].head_lr)
            continue
        rows = _rows(plan, stages, decided.lr)
        phases.append(Phase(epoch + 1, epoch + 1, rows, decided.head_lr * plan.head_rate))
    solved = all(plan.all_frozen for plan in plans)
    return Explained(spec.name, words, names[-1], solved, policy.head_first, spec.recipe.source, phases)


def _rows(plan: Plan, stages: list[Any], lr: float) -> list[dict[str, Any]]:
    chosen = freezing.trained(plan, stages)
    rows = []
    for entry, stage in zip(plan.stages, stages, strict=True):
        trained = sum(parameter.numel() for parameter in chosen[entry.stage].values())
        total = sum(parameter.numel() for parameter in stage.parameters())
        rate = lr * entry.rate if trained else 0.0
        rows.append({"stage": entry.stage, "trained": trained, "frozen": total - trained, "lr": rate})
    return rows
