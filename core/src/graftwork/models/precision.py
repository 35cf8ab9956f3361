"""The precision of frozen stages: which one a machine is fast at, and everything that decides rounding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from graftwork.errors import UsageError

AGREES = 0.999
"""The least cosine between bf16 and fp32 features of the first batch for which bf16 is used."""


def check_precision(precision: str) -> None:
    """Raises `UsageError` for a precision that features cannot be extracted in."""
    if precision not in ("auto", "fp32", "bf16"):
        raise UsageError(f"--precision {precision} is not known; auto, fp32 and bf16 are.", "Write: --precision auto")


def fast_bf16(device: torch.device | str) -> bool:
    """Whether the device multiplies bf16 matrices faster than fp32 ones; among CPUs, those with AMX.

    False if torch is limited to older instructions: ATEN_CPU_CAPABILITY=avx2.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2"):
        return False
    amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return torch.backends.mkldnn.is_available() and amx()


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


def least_cosine(exact: Tensor, other: Tensor) -> float:
    """The least cosine between corresponding rows of two `(N, D)`."""
    return float(torch.nn.functional.cosine_similarity(exact.double(), other.double(), dim=-1).min())
