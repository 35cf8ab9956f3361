"""Copies between memory and a GPU that neither waits for."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graftwork.models.stages import State
from graftwork.plugins.faults import plugin_fault

_own = threading.local()

SHARED, ROOM = Path("/dev/shm"), 2 * 2**30
"""Where processes share memory, and the bytes from which they pass their batches through it."""

MOST = 8
"""Processes of a pool: to start one takes longer than to read a batch."""

HANGS = 120
"""Seconds after which a process that has not returned is taken to hang: a fork may inherit a lock that nobody opens."""

_functions: dict[str, Callable[[Any], Any]] = {}


def can_fork() -> bool:
    """Whether this machine's processes can be forked, and have memory to share."""
    if "fork" not in multiprocessing.get_all_start_methods() or not SHARED.is_dir():
        return False
    return (os.cpu_count() or 1) > 2 and shutil.disk_usage(SHARED).free >= ROOM


class Forked:
    """Processes that are forked from this one and have all that it has, for work that would hold the interpreter's lock
    in threads. functions: by name, what they do; they must leave the GPU alone."""

    def __init__(self, **functions: Callable[[Any], Any]) -> None:
        # Tensors of a result are in memory that processes share, once torch's own module for that is loaded.
        import torch.multiprocessing  # noqa: F401

        self._functions = functions
        self._count = max(1, min(MOST, (os.cpu_count() or 1) - 1))
        context = multiprocessing.get_context("fork")
        self._pool = ProcessPoolExecutor(self._count, context, initializer=_begin, initargs=(functions,))

    def map(self, name: str, items: Iterable[Any]) -> Iterator[Any]:
        """Yield a function's results in the order of `items`, computed a few items ahead; by this process once another
        was ended from outside or hangs."""
        waiting: deque[tuple[Any, Future[Any] | None]] = deque()
        for item in items:
            try:
                waiting.append((item, self._pool.submit(_call, name, item)))
            except BrokenProcessPool:
                waiting.append((item, None))
            if len(waiting) > 2 * self._count:
                yield self._result(name, *waiting.popleft())
        while waiting:
            yield self._result(name, *waiting.popleft())

    def _result(self, name: str, item: Any, future: Future[Any] | None) -> Any:
        try:
            if future is not None:
                return future.result(HANGS)
        except BrokenProcessPool:
            pass
        except TimeoutError:
            for process in list(self._pool._processes.values()):  # pyright: ignore[reportPrivateUsage]
                process.kill()
        return self._functions[name](item)

    def close(self) -> None:
        """Waits for the threads of the pool: a process forked beside them might wait forever for a lock of theirs."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _begin(functions: dict[str, Callable[[Any], Any]]) -> None:
    _functions.update(functions)
    # The threads of tokenizers are gone in a forked process, which says so at length.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def _call(name: str, item: Any) -> Any:
    try:
        return _functions[name](item)
    except Exception as error:  # the way to it, which says whose it is, stays in this process
        raise plugin_fault(error) or error from None


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


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Work on a stream of its own, after what was started before and before what is started then. CUDA graphs cannot be
    recorded on the default stream."""
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        torch.cuda.current_stream(device).wait_stream(stream)
