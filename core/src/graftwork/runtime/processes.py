"""The processes of a distributed run: their number and which one this is, if `accelerate launch` or `torchrun` started
several.

Torch is imported only if there are several.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process, from 0; only the first one writes."""
    return int(os.environ.get("RANK", "0"))


def is_main_process() -> bool:
    return rank() == 0


def mine(items: Sequence[T]) -> list[T]:
    """The items for this process: every `count()`-th, starting at its rank."""
    return list(items[rank() :: count()])


def all_gather(item: T) -> list[T]:
    """The items of all processes, by rank."""
    if count() == 1:
        return [item]
    import torch.distributed as dist

    found: list[T] = [item] * count()
    dist.all_gather_object(found, item)
    return found


def broadcast(item: T) -> T:
    """The first process's item."""
    return all_gather(item)[0]
