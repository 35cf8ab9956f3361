"""The optimizers by name. What they keep of a parameter is tensors alone, so that any of them goes on bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.optim import Optimizer

from graftwork.specs.factories import require

Groups = list[dict[str, Any]]

MOMENTUM = 0.9


def _adamw(groups: Groups) -> Optimizer:
    """Loshchilov and Hutter 2019, arXiv:1711.05101."""
    return torch.optim.AdamW(groups, fused=True)


def _sgd(groups: Groups) -> Optimizer:
    return torch.optim.SGD(groups, momentum=MOMENTUM)


def _lion(groups: Groups) -> Optimizer:
    """Chen et al. 2023, arXiv:2302.06675: rates a third to a tenth of AdamW's serve it, and as much more decay."""
    from lion_pytorch import Lion  # pyright: ignore[reportMissingImports]

    return Lion(groups)


OPTIMIZERS: Mapping[str, Callable[[Groups], Optimizer]] = {"adamw": _adamw, "sgd": _sgd, "lion": _lion}
PACKAGES: Mapping[str, str] = {"lion": "lion-pytorch"}
"""The package that an optimizer needs, which the extra of its name installs."""


def check_optimizer(name: str) -> None:
    """Raises `UsageError` for one whose package is not installed."""
    require(PACKAGES.get(name, ""), f"--optimizer {name}", name)


def make_optimizer(name: str, groups: Groups) -> Optimizer:
    """An optimizer of these groups (see `steps.param_groups`), each of which says its rate and its weight decay."""
    return OPTIMIZERS[name](groups)
