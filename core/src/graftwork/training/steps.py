"""A step: the groups of the optimizer, chance, and running out of memory."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from graftwork.runtime import processes


def param_groups(owner: str, trained: Mapping[str, nn.Parameter], lr: float, decay: float) -> list[dict[str, Any]]:
    """The optimizer's groups for what trains of one owner: matrices with weight decay, the rest (biases, norms)
    without, as in the published recipes."""
    made = []
    for matrices, amount in ((True, decay), (False, 0.0)):
        chosen = {f"{owner}.{name}": p for name, p in trained.items() if (p.ndim > 1) == matrices}
        if chosen:
            group = {
                "params": list(chosen.values()),
                "names": list(chosen),
                "lr": lr,
                "peak": lr,
                "weight_decay": amount,
            }
            made.append(group)
    return made


def out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "t allocate memory" in str(error)


def seed_step(seed: int, step: int) -> None:
    """What chance decides in a step, on this process."""
    number = hash((seed, step, processes.rank())) % 2**32
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)
