"""Copies between memory and a GPU that neither waits for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from graftwork.models.stages import State

_own = threading.local()


class Fetched:
    """A tensor on its way from a device to memory; called, it waits for it. One in memory is there at once."""

    def __init__(self, tensor: Tensor) -> None:
        self._event = None
        if tensor.is_cuda:
            self._tensor = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._tensor.copy_(tensor, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()
        else:
            self._tensor = tensor.cpu()

    def __call__(self) -> Tensor:
        if self._event is not None:
            self._event.synchronize()
        return self._tensor


def pinned(state: State) -> State:
    """A state in memory that a GPU copies from by itself."""
    return State(state.hidden.pin_memory(), None if state.mask is None else state.mask.pin_memory())


def pieces(state: State, rows: int) -> list[State]:
    """A state cut into states of at most so many rows."""
    masks = [None] * len(state.hidden) if state.mask is None else state.mask.split(rows)
    return [State(hidden, mask) for hidden, mask in zip(state.hidden.split(rows), masks, strict=False)]


@contextmanager
def beside(device: torch.device) -> Iterator[None]:
    """Work of this thread runs on a GPU beside that of others, on a stream of its own; it is done once a result of it
    was copied to memory."""
    if device.type != "cuda":
        yield
        return
    if not hasattr(_own, "stream"):
        _own.stream = torch.cuda.Stream(device)
    with torch.cuda.stream(_own.stream):
        yield
