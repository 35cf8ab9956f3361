"""Answers of every shape, measured: entities, boxes, masks, digit strings, and what it saves to keep what is frozen.

Prints for each part the figures of several seeds. Parts are separate programs where they take long:
`detect_blood_cells.py`, `segment_membranes.py` and `digit_strings.py`, which this calls.

usage: shapes.py [--data DIR] [--parts entities,epochs,blood_cells,membranes,digit_strings] [--seeds N] [--threads N]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import graftwork as gw

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
HERE = Path(__file__).resolve().parent


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--data", type=Path, default=DATA)
    asked.add_argument("--parts", default="entities,epochs,blood_cells,membranes,digit_strings")
    asked.add_argument("--seeds", type=int, default=5)
    asked.add_argument("--threads", type=int, default=2)
    said = asked.parse_args()
    torch.set_num_threads(said.threads)
    print(f"{processor()}, {said.threads} threads")
    for part in said.parts.split(","):
        PARTS[part](said)


def processor() -> str:
    """The processor, and what it is fast at."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in flags.splitlines() if line.startswith("model name")]
    fast = [word for word in ("amx_bf16", "avx512_bf16", "avx2") if word in flags]
    return f"{names[0] if names else platform.machine()} ({', '.join(fast)})"


def entities(said: argparse.Namespace) -> None:
    """WNUT17: MiniLM frozen with its head solved, and tuned."""
    for freeze, settings in (("head", {}), ("all", {"lr": 1e-4, "epochs": 3})):
        found = []
        for seed in range(1 if freeze == "head" else said.seeds):
            begun = time.perf_counter()
            run = gw.fit(said.data / "entities", "text/minilm", task="tag", freeze=freeze, seed=seed, **settings)
            found.append(run.metrics["f1"])
            history = run.record["training"].get("history", [])
            epochs = ", ".join(f"{row['f1']:.3f}" for row in history)
            print(
                f"entities, {freeze}, seed {seed}: f1 {run.metrics['f1']:.3f}, precision {run.metrics['precision']:.3f}, "
                f"recall {run.metrics['recall']:.3f}; after each epoch {epochs or '-'}; "
                f"{time.perf_counter() - begun:.0f} s, {run.record['precision']['used']}",
                flush=True,
            )
        print(f"entities, {freeze}: f1 {statistics.mean(found):.3f} on average of {len(found)}", flush=True)


def epochs(said: argparse.Namespace) -> None:
    """An epoch of training a detection head with what is frozen kept, and without, in turn; seconds and their ratio."""
    data = gw.data(said.data / "blood_cells", task="detect")
    ratios = []
    for _ in range(3):
        seconds = {kept: _epoch(data, kept) for kept in (True, False)}
        ratios.append(seconds[False] / seconds[True])
        print(f"an epoch: {seconds[True]:.1f} s with states kept, {seconds[False]:.1f} s without", flush=True)
    print(f"epochs: {statistics.median(ratios):.2f} times, median of {len(ratios)}", flush=True)


def _epoch(data: gw.Data, kept: bool) -> float:
    """Seconds of the steps of the second epoch of two."""
    import os

    stamps: list[tuple[int, float, bool]] = []

    def watch(progress: Any) -> None:
        stamps.append((progress.epoch, time.perf_counter(), progress.done))

    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"GRAFTWORK_CACHE": folder, "GRAFTWORK_CACHE_LIMIT": "20GB" if kept else "1KB"}
        run = gw.fit(data, "image/efficientnet-lite0", task="detect", freeze="head", epochs=2, watch=watch)
        assert run.record["training"]["states_kept"] == kept
    begun = next(moment for epoch, moment, done in stamps if epoch == 1 and done)
    return next(moment for epoch, moment, done in reversed(stamps) if epoch == 2 and not done) - begun


def called(name: str, *words: str) -> Any:
    """A part that is a program of its own."""

    def run(said: argparse.Namespace) -> None:
        given = [word.format(data=said.data, seeds=said.seeds, threads=said.threads) for word in words]
        print(f"{name} {' '.join(given)}", flush=True)
        subprocess.run([sys.executable, str(HERE / name), *given], check=True)

    return run


PARTS = {
    "entities": entities,
    "epochs": epochs,
    "blood_cells": called(
        "detect_blood_cells.py", "{data}/blood_cells", "--seeds", "{seeds}", "--threads", "{threads}"
    ),
    "membranes": called("segment_membranes.py", "{data}/membranes", "--threads", "{threads}"),
    "digit_strings": called("digit_strings.py", "--data", "{data}/spoken_digits", "--threads", "{threads}"),
}

if __name__ == "__main__":
    main()
