"""The use that is made of accelerate: devices, precision and processes of one fit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from graftwork.errors import UsageError
from graftwork.models.machine import reused_memory
from graftwork.models.precision import fast_bf16

if TYPE_CHECKING:
    from accelerate import Accelerator

WHOLE = ("NO", "MULTI_CPU", "MULTI_GPU")
"""The ways of working with several processes in which each of them holds all weights."""


def training_precision(word: str, device: torch.device) -> str:
    """What "auto" means on a device. Raises `UsageError` for a precision that it cannot train in."""
    if word not in ("auto", "fp32", "bf16", "fp16"):
        raise UsageError(f"--precision {word} is not known; auto, fp32, bf16 and fp16 are.", "Write: --precision auto")
    if word == "fp16" and device.type != "cuda":
        raise UsageError("--precision fp16 trains on a GPU only; there is none here.", "Write: --precision auto")
    if word == "auto":
        return "bf16" if fast_bf16(device) else "fp32"
    return word


@contextlib.contextmanager
def accelerated(device: torch.device, precision: str) -> Iterator[Accelerator]:
    """An accelerator of one fit's own: the library keeps one state for the whole process, which ends here."""
    from accelerate import Accelerator  # here, since a fit that takes no step does without
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()  # pyright: ignore[reportPrivateUsage]  there is no public way
    try:
        made = Accelerator(mixed_precision="no" if precision == "fp32" else precision, cpu=device.type == "cpu")
        if made.distributed_type.value not in WHOLE:
            raise UsageError(
                f"The launcher is configured for {made.distributed_type.value}, which divides the weights; here each "
                "process holds them whole.",
                "Launch without it: accelerate launch --multi_gpu -m graftwork fit ...",
            )
        with reused_memory() if device.type == "cpu" else contextlib.nullcontext():
            yield made
    finally:
        AcceleratorState._reset_state()  # pyright: ignore[reportPrivateUsage]
