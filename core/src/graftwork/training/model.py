"""A backbone with a head on it, under a plan that holds whatever is done to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from graftwork.features.examples import Batch
from graftwork.freeze import freezing
from graftwork.freeze.policies import Plan
from graftwork.models.backbone import Backbone
from graftwork.models.stages import Stage, State
from graftwork.tasks.heads import Head


class Grafted(nn.Module):
    """Batches to logits. What `follow` froze stays frozen through every later call of `train`.

    tap: the stage whose pooled features the head reads; later ones never run. dropout: of pooled features while
    training. gradient_checkpointing: run the stages that train again in the backward pass instead of keeping what they
    computed.
    """

    def __init__(
        self, backbone: Backbone, head: Head, tap: int, dropout: float = 0.0, *, gradient_checkpointing: bool = False
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.tap = tap
        self.dropout = nn.Dropout(dropout)
        self.gradient_checkpointing = gradient_checkpointing
        self._plan: Plan | None = None

    @property
    def stages(self) -> Sequence[Stage]:
        """Those that run."""
        return self.backbone.stages()[: self.tap + 1]

    def follow(self, plan: Plan) -> dict[str, dict[str, nn.Parameter]]:
        """Train by this plan from now on. Returns what trains of each stage, by name.

        Raises `UsageError` when a part of the plan matches nothing.
        """
        freezing.adapt(plan, self.stages)
        self._plan = plan
        self.train(self.training)
        return freezing.trained(plan, self.stages)

    def train(self, mode: bool = True) -> Grafted:
        super().train(mode)
        if self._plan is not None:
            freezing.apply(self._plan, self.backbone.stages(), mode)
        return self

    def features(self, batch: Batch) -> Tensor:
        """Pooled features `(B, D)` of the examples of a batch: those of their windows, averaged by share."""
        state = batch.state
        for stage in self.stages[batch.begin :]:
            if self.gradient_checkpointing and self.training and any(p.requires_grad for p in stage.parameters()):
                state = cast(State, checkpoint(stage, state, use_reentrant=False))
            else:
                state = stage(state)
        pooled = self.backbone.pool(state)
        if batch.example_index is None or batch.window_weight is None:
            return pooled
        total = torch.zeros(len(batch), pooled.shape[1], dtype=pooled.dtype, device=pooled.device)
        return total.index_add(0, batch.example_index, pooled * batch.window_weight[:, None])

    def forward(self, batch: Batch) -> Tensor:
        return self.head(self.dropout(self.features(batch)))
