"""The precision of frozen stages: which one a machine is fast at, and everything that decides rounding."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from graftwork.errors import UsageError
from graftwork.models import measurements
from graftwork.runtime import cpu

AGREES = 0.999
"""The least cosine to fp32 features of the first batch for which another precision or engine is used."""

MARGIN = 1.15
"""How many times faster than something simpler a way of computing must be to be taken for faster: times are noisy."""

ROWS, WIDTH = 512, 768
"""Of the product that stands for a training step: some hundred tokens through a layer of BERT-base."""


def check_precision(precision: str) -> None:
    """Raises `UsageError` for a precision that features cannot be extracted in."""
    if precision not in ("auto", "fp32", "bf16", "int8"):
        raise UsageError(
            f"--precision {precision} is not known; auto, fp32, bf16 and int8 are.", "Write: --precision auto"
        )


def usual_precision() -> str:
    """What "auto" means by GRAFTWORK_PRECISION; "auto" itself if nothing is said.

    Raises `UsageError` for what is no precision.
    """
    word = os.environ.get("GRAFTWORK_PRECISION", "") or "auto"
    if word not in ("auto", "fp32", "bf16"):
        raise UsageError(
            f"GRAFTWORK_PRECISION is '{word}'; auto, fp32 and bf16 are accepted.", "Write: GRAFTWORK_PRECISION=auto"
        )
    return word


def may_bf16(device: torch.device) -> bool:
    """Whether torch computes in bf16 by instructions of the device; all others would imitate it, slowly.

    False if torch is limited to older instructions: ATEN_CPU_CAPABILITY=avx2.
    """
    if device.type != "cpu":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    limited = torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2")
    return "bf16" in cpu.capabilities() and torch.backends.mkldnn.is_available() and not limited


def fast_bf16(device: torch.device | str) -> bool:
    """Whether training in bf16 is faster than in fp32 on the device; a processor is measured once."""
    device = torch.device(device)
    if device.type == "cpu" and (said := usual_precision()) != "auto":
        return said == "bf16"
    if device.type != "cpu" or not may_bf16(device):
        return may_bf16(device)
    found = measurements.measured_once("matmul", measure_matmul)
    return found["bf16"] * MARGIN < found["fp32"]


def measure_matmul() -> dict[str, float]:
    """Milliseconds of a linear layer forward and backward, in fp32 and under autocast in bf16: the least of five, in
    turns."""
    layer, rows = torch.nn.Linear(WIDTH, 4 * WIDTH), torch.ones(ROWS, WIDTH, requires_grad=True)

    def step(half: bool) -> float:
        begun = time.perf_counter()
        with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            layer(rows).sum().backward()
        return 1000 * (time.perf_counter() - begun)

    took = [(step(False), step(True)) for _ in range(6)][1:]
    return {"fp32": min(exact for exact, _ in took), "bf16": min(half for _, half in took)}


def rounding(device: torch.device) -> Mapping[str, Any]:
    """Everything that decides how torch rounds on a device."""
    found = {
        "torch": torch.__version__,
        "device": device.type,
        "matmul": torch.get_float32_matmul_precision(),
        "mkldnn": torch.backends.mkldnn.enabled,
        "processor": torch.backends.cpu.get_cpu_capability(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }
    if device.type == "cuda":
        found["processor"] = torch.cuda.get_device_name(device)
        found["cuda"] = [torch.version.cuda, torch.backends.cudnn.version(), torch.backends.cudnn.allow_tf32]
    return found


def cosines(exact: Tensor, other: Tensor) -> Tensor:
    """The cosine between corresponding rows of two `(N, D)`, lowered where their lengths differ, `(N,)`: 1 for rows
    that are equal."""
    exact, other = exact.double(), other.double()
    off = (exact - other).square().sum(1)
    lengths = exact.norm(dim=1) * other.norm(dim=1)
    # |a - b|^2 = (|a| - |b|)^2 + 2 |a| |b| (1 - cos)
    return torch.where(off == 0, torch.ones_like(off), 1 - off / (2 * lengths))


def least_cosine(exact: Tensor, other: Tensor) -> float:
    """The least of `cosines`; of shapes that differ, 0."""
    return float(cosines(exact, other).min()) if exact.shape == other.shape else 0.0
