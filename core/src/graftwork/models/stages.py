"""A backbone is a list of stages, and running it folds a state over them: everything with tensors builds on this."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class State:
    """The state that flows from stage to stage.

    hidden: examples first: `(B, T)` or `(B, T, D)` for sequences, `(B, C, H, W)` for maps, `(B, D)` for vectors.
    mask: `(B, T)` bool, True for a real position and False for padding; None if nothing is padded.
    """

    hidden: Tensor
    mask: Tensor | None = None

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> State:
        """Move to a device; `dtype` applies to floating-point hidden values only (token ids stay integers). Nothing
        waits for a GPU."""
        there = device is not None and torch.device(device).type == "cuda"
        dtype = dtype if self.hidden.is_floating_point() else None
        hidden = self.hidden.to(device=device, dtype=dtype, non_blocking=there)
        return State(hidden, None if self.mask is None else self.mask.to(device, non_blocking=there))

    def attention_bias(self) -> Tensor | None:
        """The bias to add to attention scores so that padding is never attended to: `(B, 1, T, T)`, or None."""
        if self.mask is None:
            return None
        bias = torch.zeros(self.mask.shape, dtype=self.hidden.dtype, device=self.hidden.device)
        bias = bias.masked_fill(~self.mask, torch.finfo(bias.dtype).min)
        return bias[:, None, None, :].expand(-1, 1, self.mask.shape[1], -1)


class Stage(nn.Module, ABC):
    """A part of a backbone that maps a state to the next, and owns the parameters for it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    @abstractmethod
    def forward(self, state: State) -> State: ...


class Apply(Stage):
    """A stage of library modules that map hidden to hidden; the mask stays as it is."""

    def __init__(self, name: str, *modules: nn.Module) -> None:
        super().__init__(name)
        self.body = nn.Sequential(*modules)

    def forward(self, state: State) -> State:
        return State(self.body(state.hidden), state.mask)


def fold(stages: Iterable[Stage], state: State) -> State:
    """Run the stages in order."""
    for stage in stages:
        state = stage(state)
    return state


def masked_mean(state: State) -> Tensor:
    """Mean over the real positions of a sequence: `(B, T, D)` to `(B, D)`, float32."""
    hidden = state.hidden.float()
    if state.mask is None:
        return hidden.mean(1)
    weights = state.mask[..., None].to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)


def spatial_mean(state: State) -> Tensor:
    """Mean over the positions of a map: `(B, C, H, W)` to `(B, C)`, float32; vectors pass as they are."""
    return state.hidden.float().flatten(2).mean(2) if state.hidden.ndim > 2 else state.hidden.float()
