"""How large the batches of a frozen encoder are: tried once on this machine, and remembered."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from graftwork.models import measurements
from graftwork.models.stages import State

TIMES: Mapping[str, Sequence[int]] = {"cpu": (1, 4), "cuda": (16, 32, 64)}
"""How many times larger than an encoder's `batch_size`, which should fit the caches of a CPU, batches may be, the usual
first."""

MANY: Mapping[str, int] = {"cpu": 20_000, "cuda": 5_000}
"""Examples to compute from which sizes are tried: it takes as long as some hundred of them."""

NEARLY = 1.03
"""How much longer an example may take in a smaller batch."""

ROUNDS = 3


def usual(device: torch.device) -> int:
    return TIMES.get(device.type, (1,))[0]


def chosen(
    about: Mapping[str, str],
    device: torch.device,
    count: int,
    read: Callable[[int], State | None],
    compute: Callable[[State], Any],
) -> int:
    """How many times larger than `batch_size` batches are, for `count` examples that are to be computed.

    about: the encoder, what computes it and the digest of its weights. read: a batch of which the size is so many times
    larger; None if there is none. compute: what is timed.
    """
    times = TIMES.get(device.type, (1,))
    key = f"batch {device.type} {' '.join(about.values())}"
    if measurements.remembered(key) is None and count < MANY.get(device.type, count + 1):
        return times[0]
    found = measurements.measured_once(key, lambda: {**about, **_measured(times, device, read, compute)})
    seconds = {int(size): each for size, each in found["batches"].items() if int(size) in times}
    if not seconds:
        return times[0]
    most = min(seconds.values()) * NEARLY
    return min(size for size, each in seconds.items() if each <= most)


def _measured(
    times: Sequence[int],
    device: torch.device,
    read: Callable[[int], State | None],
    compute: Callable[[State], Any],
) -> dict[str, Any]:
    """Seconds that an example takes in batches of each size, as far as memory goes."""
    seconds: dict[str, float] = {}
    for size in times:
        try:
            if (state := read(size)) is None:
                break
            compute(state)
            seconds[str(size)] = min(_seconds(device, state, compute) for _ in range(ROUNDS))
        except torch.OutOfMemoryError:
            break
    return {"batches": seconds}


def _seconds(device: torch.device, state: State, compute: Callable[[State], Any]) -> float:
    begun = time.perf_counter()
    compute(state)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - begun) / len(state.hidden)
