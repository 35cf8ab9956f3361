"""The processor by name, and the instructions that it has."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

CAPABILITIES = {
    "bf16": ("amx_bf16", "avx512_bf16", "bf16"),
    "int8": ("amx_int8", "avx512_vnni", "avx_vnni", "i8mm", "asimddp"),
}
"""Flags of processors with instructions for a precision, as /proc/cpuinfo names them."""

INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 BF16",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "amx_bf16": "AMX BF16",
    "amx_int8": "AMX INT8",
    "asimd": "NEON",
    "asimddp": "NEON dot product",
    "i8mm": "NEON INT8",
    "bf16": "NEON BF16",
}
"""What people call the flags that matter to networks."""


@cache
def processor() -> tuple[str, frozenset[str]]:
    """The name of the processor, and its flags; none where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor(), frozenset()
    said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = said.get("flags") or said.get("Features") or ""
    return said.get("model name", platform.processor()), frozenset(flags.split())


def capabilities() -> frozenset[str]:
    """The precisions beside fp32 that the processor has instructions for: "bf16", "int8"."""
    _, flags = processor()
    return frozenset(name for name, any_of in CAPABILITIES.items() if flags & set(any_of))


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
