"""What benches measure: said on the terminal, and kept by `make bench` for the page of figures.

`figure` prints a sentence; where FIGURES names a file, it adds the figure to it as a line of JSON.
"""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

FIGURES = "BENCH_FIGURES"
"""The environment variable that names a file for figures."""

KINDS = (("AMX", "amx_bf16"), ("AVX-512 BF16", "avx512_bf16"), ("AVX-512", "avx512f"), ("AVX2", "avx2"))
"""Kinds of processors, the most able first, each by the flag that tells it."""


def figure(what: str, value: float, unit: str = "") -> None:
    """what: a phrase that names the figure on every machine. unit: "times", "a second", "s", "points" or empty."""
    print(f"{what}: {said(value, unit)}", flush=True)
    if file := os.environ.get(FIGURES):
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"what": what, "value": float(f"{value:.5g}"), "unit": unit}) + "\n")


def said(value: float, unit: str) -> str:
    """A figure with its unit, to three digits."""
    shown = f"{value:,.0f}".replace(",", " ") if abs(value) >= 100 else f"{value:.3g}"
    return f"{shown} {unit}".strip()


def machine() -> dict[str, Any]:
    """The kind of the machine, and what else decides its figures."""
    import torch

    from graftwork.runtime.cpu import processor

    name, flags = processor()
    kind = next((kind for kind, flag in KINDS if flag in flags), platform.machine())
    if torch.cuda.is_available():
        kind = torch.cuda.get_device_name().removeprefix("NVIDIA ").split()[0]
    return {"kind": kind, "processor": name, "cores": os.cpu_count(), "torch": torch.__version__.partition("+")[0]}
