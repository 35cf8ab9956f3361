"""Pretrain `series/resnet1d-tiny` on synthetic series, without labels, and write its weights into the package.

Two series of one process, whose phases, noise and moments differ, are to be found near each other and far from those of
other processes: the contrastive loss of Chen et al. 2020 (arXiv:2002.05709) and Oord et al. 2018 (arXiv:1807.03748),
with processes for its instances. A batch has few families, so that families alone do not tell its processes apart.

On one thread, so that any number of cores makes the same weights; ten minutes on a slow one::

    python examples/plugins/time-series/tools/pretrain.py
"""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from pathlib import Path

import numpy as np
import torch
from families import FAMILIES, draw
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

import graftwork_time_series
from graftwork import Backbone, State
from graftwork_time_series.model import build
from graftwork_time_series.plugin import graftwork_backbones
from graftwork_time_series.prepare import normalized

PROCESSES, IN_A_BATCH = 128, 3
"""Processes of a batch, and the families that they come from."""
LENGTHS = (64, 128, 256, 512)
"""Points of the series of a batch: 0.64 to 5.12 s, which the contract of the encoder states."""
STEPS, RATE, DECAY, TEMPERATURE = 1_200, 2e-3, 0.01, 0.1
SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Pretrain series/resnet1d-tiny.")
    parser.add_argument("--out", type=Path, default=Path(graftwork_time_series.__file__).parent / "weights.safetensors")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    spec = next(iter(graftwork_backbones()))
    encoder = build(spec, None)
    begun = time.perf_counter()
    projection = train(encoder, spec.feature_dim)
    # Another seed: processes that were not trained on.
    found = [matched(encoder, projection, np.random.default_rng([SEED + 1, number]), 256) for number in range(8)]
    save_file({name: tensor.half() for name, tensor in encoder.state_dict().items()}, out)
    print(f"{time.perf_counter() - begun:.0f} s; of {PROCESSES} new processes {np.mean(found):.1%} are found again")
    print(f"{out.stat().st_size} bytes, SHA-256 {hashlib.sha256(out.read_bytes()).hexdigest()}")


def train(encoder: Backbone, width: int) -> nn.Module:
    """Train the encoder in place; returns the projection that the loss was taken after, which is thrown away."""
    projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 64))
    parameters = [*encoder.parameters(), *projection.parameters()]
    optimizer = torch.optim.AdamW(parameters, weight_decay=DECAY)
    rng = np.random.default_rng(SEED)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 50) * (1 + math.cos(math.pi * step / STEPS)) / 2
        likeness = alike(encoder, projection, rng, int(rng.choice(LENGTHS)))
        own = torch.arange(PROCESSES)
        loss = (cross_entropy(likeness, own) + cross_entropy(likeness.T, own)) / 2
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 100 == 99:
            print(f"step {step + 1}/{STEPS}: loss {loss.item():.3f}", flush=True)
    return projection


def alike(encoder: Backbone, projection: nn.Module, rng: np.random.Generator, points: int) -> Tensor:
    """How alike the first and the second series of new processes are, each with each: `(P, P)`."""
    families = [FAMILIES[number] for number in rng.choice(len(FAMILIES), IN_A_BATCH, replace=False)]
    processes = [draw(rng, families) for _ in range(PROCESSES)]
    rows = np.stack([normalized(process(points, rng)) for _ in range(2) for process in processes])
    features = encoder.pool(encoder(State(torch.from_numpy(rows).float())))
    first, second = normalize(projection(features), dim=1).chunk(2)
    return first @ second.T / TEMPERATURE


def matched(encoder: Backbone, projection: nn.Module, rng: np.random.Generator, points: int) -> float:
    """The part of the processes whose second series is nearest to their first."""
    with torch.inference_mode():
        likeness = alike(encoder, projection, rng, points)
    return float((likeness.argmax(1) == torch.arange(PROCESSES)).float().mean())


if __name__ == "__main__":
    main()
