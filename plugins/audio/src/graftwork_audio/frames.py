"""Where the frames of an encoder lie in a clip."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from graftwork import SequenceView, State


def geometry(convolutions: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """The samples from one frame to the next, and those that a frame is computed from, of convolutions `(kernel,
    stride)` in a row."""
    step = seen = 1
    for kernel, stride in convolutions:
        seen, step = seen + (kernel - 1) * step, step * stride
    return step, seen


def framed(state: State, step: float, begin: float = 0.0) -> SequenceView:
    """The view of frames `(B, T, D)`, of which the first begins at `begin` seconds and each lasts `step`."""
    count, frames = state.hidden.shape[:2]
    mask = torch.ones(count, frames, dtype=torch.bool) if state.mask is None else state.mask.cpu()
    starts = begin + step * torch.arange(frames, dtype=torch.float64)
    spans = torch.stack([starts, starts + step], 1).expand(count, -1, -1)
    return SequenceView(state.hidden.float(), mask, spans * mask[..., None])


def around(state: State, step: int, seen: int, rate: int) -> SequenceView:
    """The view of frames that are computed from `seen` samples every `step`: each lasts a step, around the middle of
    its samples."""
    return framed(state, step / rate, max(0.0, math.floor((seen - step) / 2) / rate))
