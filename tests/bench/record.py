"""What fits of four freeze policies give on the demo data of three modalities: metrics, and digests of all weights.

Seeds, threads and precision are fixed, so that on one machine two records differ only where the code computes otherwise.

usage: record.py [MODALITY ...] > before.tsv; after a change: record.py > after.tsv; diff before.tsv after.tsv
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
import tempfile
from pathlib import Path

os.environ["GRAFTWORK_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors.torch import load_file

import graftwork as gw

DEMOS = {
    "text": ("text/minilm", "graftwork_text.plugin:demo_messages"),
    "image": ("image/efficientnet-lite0", "graftwork_image.demo:digits"),
    "audio": ("audio/wav2vec2-tiny", "graftwork_audio.demos:commands"),
}
POLICIES = ("head", "lpft", "last:2", "bitfit")
STEPS = {"epochs": 2, "batch_size": 16}


def digest(file: Path) -> str:
    """Of the tensors in a file, by name; "-" where there is none."""
    if not file.is_file():
        return "-"
    sha = hashlib.sha256()
    for name, tensor in sorted(load_file(file).items()):
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        sha.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()[:16]


def record(modality: str, policy: str, folder: Path) -> str:
    backbone, demo = DEMOS[modality]
    module, _, name = demo.partition(":")
    place = folder / f"{modality}-{policy.replace(':', '-')}"
    place.mkdir()
    data = getattr(importlib.import_module(module), name)(place)
    run = gw.fit(
        data, backbone, freeze=policy, seed=0, precision="fp32", device="cpu", out=place / "run",
        **({} if policy == "head" else STEPS),
    )  # fmt: skip
    figures = " ".join(f"{key}={run.metrics[key]:.17g}" for key in ("accuracy", "macro_f1", "log_loss"))
    head, moved = (digest(place / "run" / f"{file}.safetensors") for file in ("head", "backbone"))
    return f"{modality}\t{policy}\t{figures}\thead {head}\tencoder {moved}"


def main(modalities: list[str]) -> None:
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRAFTWORK_CACHE"] = f"{folder}/store"
        for modality in modalities:
            for policy in POLICIES:
                print(record(modality, policy, Path(folder)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(DEMOS))
