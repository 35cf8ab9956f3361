"""The machine as a fit uses it: device, processes, memory, random seeds, time; and the versions that computed it."""

from __future__ import annotations

import ctypes
import os
import platform
import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol, TypeVar

import numpy as np
import torch

from graftwork.errors import GraftworkError
from graftwork.runtime import processes
from graftwork.runtime.parallel import map_in

T = TypeVar("T")
R = TypeVar("R")


def resolve_device(word: str) -> torch.device:
    """The device for "auto", "cpu", "cuda" or "mps". Raises `GraftworkError` if this machine does not have it."""
    if word == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(word)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise GraftworkError(f"There is no device '{word}' on this machine.", "Write: --device auto") from error
    return device


def join_process_group(device: torch.device) -> None:
    """Join the process group, if there is more than one process."""
    if processes.count() > 1:
        from accelerate import PartialState

        PartialState(cpu=device.type == "cpu")


@cache
def fork_safely() -> None:
    """Have processes that are forked from this one compute on one thread.

    The threads that this process has computed with are gone in a forked one, where OpenMP would wait for them for ever.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes in one thread. Threads that share small pieces of work mostly wait for each other: beside other
    busy processes, for the processor."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Map(Protocol):
    """Yields `function(item)` in the order of the items."""

    def __call__(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]: ...


@contextmanager
def sleeping_threads(count: int | None = None) -> Iterator[Map]:
    """Yield a `Map` that computes in `count` threads (None: as many as torch has).

    Torch computes each item in one thread, so that results are the same bits whatever `count` is. A thread without an
    item sleeps; torch's own spin until the last of them is done, and beside other busy processes that takes long.
    """
    count = count or torch.get_num_threads()
    with one_thread():
        if count == 1:
            yield lambda function, items: map(function, items)
            return
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield lambda function, items: map_in(pool, function, items, 2 * count)


MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""Of glibc's mallopt(3)."""


@contextmanager
def reused_memory() -> Iterator[None]:
    """Keep the memory of freed tensors for the next ones, until the end; does nothing without glibc.

    glibc gives blocks of some megabytes back to the system at once, and every step of training would touch the pages of
    its gradients and activations for the first time: a fifth of a step of a small encoder.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        options = libc.mallopt
    except (OSError, AttributeError):
        yield
        return
    if not options(MMAP_THRESHOLD, 2**30):
        options(MMAP_THRESHOLD, 2**25)  # the most that older versions take
    options(TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        options(MMAP_THRESHOLD, 2**25)  # where glibc's own adaptation ends
        options(TRIM_THRESHOLD, 2**26)
        libc.malloc_trim(0)


def available_memory() -> int:
    """Free memory in bytes."""
    import psutil

    return int(psutil.virtual_memory().available)


def seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def versions() -> dict[str, str]:
    """The versions of the libraries and the number of threads, to explain different results elsewhere."""
    found = {"python": platform.python_version()}
    for name in ("graftwork", "torch", "torchvision", "torchaudio", "transformers", "numpy", "scipy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    found["threads"] = str(torch.get_num_threads())
    return found


class Clock:
    """Measures the seconds spent in named parts, and in total since it was made."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._parts: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self._parts[part] = self._parts.get(part, 0) + time.perf_counter() - begun

    def seconds(self) -> dict[str, float]:
        total = time.perf_counter() - self._begun
        return {**{k: round(v, 3) for k, v in self._parts.items()}, "total": round(total, 3)}
