"""The reference engine: torch, in fp32, or in bf16 on a copy of the encoder."""

from __future__ import annotations

import copy
from typing import cast

import torch

from graftwork.models.engines.engine import Computed, Engine, FrozenEncoder, Run, folded
from graftwork.models.stages import Stage, State


class TorchEngine(Engine):
    """compiled: run the stages through torch.compile."""

    def __init__(self, *, compiled: bool = False) -> None:
        self.compiled = compiled

    def compile(self, frozen: FrozenEncoder, example: State | None, precision: str) -> Run:
        assert precision in ("fp32", "bf16"), precision
        exact = frozen.backbone
        dtype = torch.float32 if precision == "fp32" else torch.bfloat16
        runner = exact if precision == "fp32" else copy.deepcopy(exact).to(dtype)
        layout = torch.channels_last if exact.channels_last else torch.preserve_format
        stages = runner.stages()[: frozen.taps[-1] + 1]
        if self.compiled:
            stages = [cast(Stage, torch.compile(stage, dynamic=True)) for stage in stages]

        def run(state: State) -> Computed:
            hidden = state.hidden.to(frozen.device, memory_format=layout, non_blocking=True)
            state = State(hidden, state.mask).to(frozen.device, dtype)
            after = enumerate(folded(stages, state))
            return Computed([runner.pool(state).float() for tap, state in after if tap in frozen.taps])

        return run
