"""Which of several processes this is, where `accelerate launch` or `torchrun` started more than one.

Torch is loaded only where there are several.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process, from 0; the first is the one that writes."""
    return int(os.environ.get("RANK", "0"))


def is_main_process() -> bool:
    return rank() == 0


def mine(items: Sequence[T]) -> list[T]:
    """The items that are this process's to do: every `count()`-th, from its own number on."""
    return list(items[rank() :: count()])


def all_gather(item: T) -> list[T]:
    """What every process gave, by its number."""
    if count() == 1:
        return [item]
    import torch.distributed as dist

    found: list[T] = [item] * count()
    dist.all_gather_object(found, item)
    return found


def broadcast(item: T) -> T:
    """What the first process gave."""
    return all_gather(item)[0]
