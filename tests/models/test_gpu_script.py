"""The script that says what a GPU gets through runs without one, at a tiny size, so that it is tried before the day."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

SCRIPT = Path(__file__).parents[1] / "bench" / "gpu.py"


def test_every_part_of_it_prints_its_figures() -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    first, *rows = [line for line in done.stdout.splitlines() if line.startswith("| ") or "torch" in line]
    assert f"a processor, at a tiny size, torch {torch.__version__}" in first
    said = [row.split("|")[1].strip() for row in rows]
    assert said == [
        "image/resnet18, 6 JPEG files", "a DataLoader, all cores", "BERT-base, 24 short messages",
        "audio/wav2vec2-tiny, 2 clips of 3 s",
        "tuning BERT-base, batches of 8", "killed, and gone on",
    ]  # fmt: skip
    assert rows[-1].split("|")[2].strip() == "heads differ by 0.0e+00 at most"
