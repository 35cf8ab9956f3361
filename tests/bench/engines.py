"""Engines and precisions over encoders: examples a second, in turns, and the agreement with torch in fp32.

Usage: python tests/bench/engines.py [ENCODER...] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import torch
from figures import figure

import graftwork as gw
from graftwork.models.engines.runner import REFERENCE, Choice, Runner
from graftwork.models.measurements import about
from graftwork.plugins import registry
from graftwork.runtime.cpu import capabilities

ENCODERS = ("text/minilm", "image/efficientnet-lite0", "image/resnet50", "audio/wav2vec2-base")
WORDS = [
    "where",
    "is",
    "my",
    "parcel",
    "please",
    "i",
    "lost",
    "the",
    "card",
    "help",
    "me",
    "with",
    "a",
    "refund",
    "of",
    "this",
    "order",
    "today",
]


def batches(backbone: gw.Backbone, count: int) -> list[gw.State]:
    """Short messages, pictures or clips of 1 to 2 s, of which int8 learns its ranges from all but the first batch."""
    torch.manual_seed(0)
    kind = backbone.spec.modality
    if kind == "text":
        texts = [" ".join(WORDS[i % 7 : i % 7 + 4 + i % 9]) for i in range(32 * count)]
        return [backbone.prepare(texts[i : i + 32]) for i in range(0, len(texts), 32)]
    if kind == "image":
        return [gw.State(torch.randn(8, 3, 224, 224)) for _ in range(count)]
    lengths = torch.randint(16_000, 32_001, (count, 4, 1)).sort(1, descending=True).values
    return [gw.State(torch.randn(4, int(some[0])), torch.arange(int(some[0])) < some) for some in lengths]


def compared(name: str, rounds: int) -> list[dict[str, Any]]:
    spec = registry.backbone(name)
    backbone = gw.load_backbone(spec, pretrained=spec.weights.find() is not None).requires_grad_(False)
    first, *others = batches(backbone, 4)
    calibration = gw.Calibration("bench", lambda: others)
    taps = tuple(range(len(spec.stages)))
    frozen = gw.FrozenEncoder(backbone, taps, torch.device("cpu"), calibration=calibration)
    able = {"fp32", *capabilities()}
    exact = Runner(REFERENCE, frozen)
    runners = {
        choice: Runner(choice, frozen, reference=exact.reference)
        for spec in registry.engines()
        for precision in spec.precisions
        if precision in able and (choice := Choice(spec.name, precision))
    }
    took: dict[Choice, list[float]] = {choice: [] for choice in runners}
    with torch.inference_mode():
        agreement = {choice: run.agreement(first) for choice, run in runners.items()}
        for _ in range(rounds):
            for choice, run in runners.items():
                kind = run._kind(first)
                begun = time.perf_counter()
                run._completed(kind.run, first)
                took[choice].append(time.perf_counter() - begun)
    base = statistics.median(took[REFERENCE])
    return [
        {
            "encoder": name, "choice": str(choice), "per_second": len(first.hidden) / statistics.median(times),
            "ratio": base / statistics.median(times), "agreement": agreement[choice],
        }
        for choice, times in took.items()
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("encoders", nargs="*", default=ENCODERS)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(json.dumps(about()))
    for name in given.encoders:
        for row in compared(name, given.rounds):
            print(
                f"{row['encoder']:26} {row['choice']:14} {row['per_second']:8.2f}/s  {row['ratio']:6.2f} x  "
                f"agreement {row['agreement']:.5f}",
                flush=True,
            )
            figure(f"{name}, {row['choice']}, prepared batches", row["per_second"], "a second")
            if row["choice"] != str(REFERENCE):
                figure(f"{name}, {row['choice']} over torch fp32", row["ratio"], "times")


if __name__ == "__main__":
    main()
