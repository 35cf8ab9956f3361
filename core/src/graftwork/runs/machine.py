"""What this machine is fast at, as JSON values: what was measured before, and what costs little to measure now."""

from __future__ import annotations

from typing import Any

import torch

from graftwork.models import measurements
from graftwork.models.engines.choosing import ordered
from graftwork.models.engines.folders import engine_version
from graftwork.models.engines.runner import Choice, installed
from graftwork.models.precision import fast_bf16, may_bf16, measure_matmul
from graftwork.plugins import registry


def described() -> dict[str, Any]:
    """`{"machine", "matmul", "training", "engines", "encoders", "batches", "file", "notes"}`; matmul: milliseconds by
    precision, None on a processor without bf16; encoders: what was timed of each, in seconds an example, and what is
    chosen; batches: the same by their size."""
    notes, processor = [], torch.device("cpu")
    if measurements.damaged():
        notes.append(f"'{measurements.file()}' is damaged or of another format; what it held is measured anew.")
    can = may_bf16(processor)
    matmul = measurements.measured_once("matmul", measure_matmul) if can else None
    kept, others = measurements.listed()
    if others:
        notes.append(f"Measurements of {others} other machines or versions are kept and not used here.")
    encoders = [
        {**one, "asked": name.rpartition(" ")[0], "chosen": _chosen(one)}
        for name, one in kept.items()
        if "encoder" in one
    ]
    engines = [
        {
            "name": spec.name,
            "precisions": list(spec.precisions),
            "summary": spec.summary,
            "version": (engine_version(spec.name) or torch.__version__) if installed(spec) else None,
        }
        for spec in registry.engines()
    ]
    return {
        "machine": measurements.about(),
        "matmul": matmul,
        "training": "bf16" if can and fast_bf16(processor) else "fp32",
        "engines": engines,
        "encoders": encoders,
        "batches": [one for one in kept.values() if "batches" in one],
        "file": str(measurements.file()),
        "notes": notes,
    }


def _chosen(one: dict[str, Any]) -> str:
    choices = [Choice(*name.split(" ")) for name in one["seconds"]]
    return str(ordered(one, choices)[0])
