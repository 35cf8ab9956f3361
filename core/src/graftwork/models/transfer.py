"""Copies between memory and a GPU that neither waits for."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from graftwork.models.stages import State

_own = threading.local()

T = TypeVar("T")
R = TypeVar("R")

SHARED, ROOM = Path("/dev/shm"), 2 * 2**30
"""Where processes share memory, and the bytes from which they pass their batches through it."""


def can_fork() -> bool:
    """Whether this machine's processes can be forked, and have memory to share."""
    if "fork" not in multiprocessing.get_all_start_methods() or not SHARED.is_dir():
        return False
    return (os.cpu_count() or 1) > 2 and shutil.disk_usage(SHARED).free >= ROOM


def forked_map(function: Callable[[T], R], items: Iterable[T], count: int) -> Iterator[R]:
    """Yield `function(item)` in the order of `items`, of which there are `count` at the most, computed in advance by
    processes that are forked from this one. The function must leave the GPU alone."""
    from torch.utils.data import DataLoader

    workers = min(count, (os.cpu_count() or 1) - 1, 16)
    # A sampler gives what a data set is asked for: here the items, as they come.
    yield from DataLoader(
        cast(Any, _Mapped(function)), sampler=items, batch_size=None, num_workers=workers, prefetch_factor=2,
        multiprocessing_context="fork", worker_init_fn=_alone,
    )  # fmt: skip


class _Mapped:
    """A data set of the results of a function, asked for by what it takes."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __getitem__(self, item: Any) -> Any:
        return self.function(item)


def _alone(worker: int) -> None:
    # The threads of tokenizers are gone in a forked process, which says so at length.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


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
    """A state in memory that a GPU copies from by itself; one on a GPU as it is."""
    if state.hidden.is_cuda:
        return state
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
