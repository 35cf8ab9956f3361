"""Whether the sets of the tour are hard enough to tell and easy enough to reach: accuracy of a solved head by stage of the
encoder, of all stages joined (each scaled to a mean norm of 1), and of the baseline without an encoder.

digits: by how many of each digit there are, mean over seeds that carve the validation part. commands: by the voices that are held
out, and by chance as before.

usage: demo_sets.py digits|commands [--each N]... [--seeds N]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor

import graftwork as gw
from graftwork.data.splits import split
from graftwork.features.dataset import FeatureDataset
from graftwork.plugins import registry
from graftwork.specs.factories import load_factory
from graftwork.tasks.task import load_task
from graftwork.training import solver

HELD = 0.2
TASK = load_task("classify")


def judged(features: Tensor, labels: list[str], held: Tensor) -> float:
    """Accuracy on the held-out rows, which choose the head's strength too, as in the tour."""
    known = TASK.encode(labels)
    train, validation = (FeatureDataset(features[rows], known.values[rows]) for rows in (~held, held))
    loss = TASK.solver_loss()
    assert loss is not None
    solution = solver.choose(train, validation, TASK.outputs(known), loss)
    return TASK.metrics(solution.logits(validation.features), validation.targets, known)["accuracy"]


@torch.inference_mode()
def by_stage(data: gw.Data, name: str) -> tuple[dict[str, Tensor], float]:
    """Pooled features after each stage, and all joined; and the seconds that took."""
    from graftwork.data.pipeline import Pipeline
    from graftwork.features.examples import Examples
    from graftwork.features.extraction import Cache, Extractor
    from graftwork.features.store import temporary

    spec = registry.backbone(name)
    backbone = gw.load_backbone(spec)
    examples = Examples(
        backbone, Pipeline(spec.contract, registry.agree_on(spec, data.observed), data.modality), data.raws
    )
    found, begun = {}, time.perf_counter()
    with temporary() as store:  # so that all stages are of one pass
        for tap, stage in reversed(list(enumerate(spec.stages))):
            found[stage] = Extractor(backbone, tap=tap, precision="auto", cache=Cache(store, "demo"))(examples).values
    seconds = time.perf_counter() - begun
    rows = [values / values.norm(dim=1).mean() for values in found.values()]
    return {**dict(reversed(found.items())), "all joined": torch.cat(rows, 1)}, seconds


def digits(each: list[int], seeds: int) -> None:
    from graftwork_image import demo

    with tempfile.TemporaryDirectory() as name:
        demo.EACH = max(each)
        data = gw.data(demo.digits(Path(name)))
        features, seconds = by_stage(data, "image/efficientnet-lite0")
        reader = load_factory(data.modality.reader)()
        features["pixels"] = torch.from_numpy(demo.pixels([reader.decode(raw) for raw in data.raws]))
        labels = list(map(str, data.labels or ()))
        print(f"digits: {len(labels)} pictures, all stages in {seconds:.0f} s", flush=True)
        number, seen = [], dict.fromkeys(labels, 0)
        for label in labels:
            number.append(seen[label])
            seen[label] += 1
        for some in each:
            rows = torch.tensor([i for i, place in enumerate(number) if place < some])
            chosen = [labels[i] for i in rows.tolist()]
            for stage, values in features.items():
                found = [
                    judged(
                        values[rows], chosen, torch.tensor([w == "validation" for w in split(chosen, None, HELD, seed)])
                    )
                    for seed in range(seeds)
                ]
                print(f"{some} of each, {stage}: {statistics.mean(found):.3f} (seed 0 {found[0]:.3f})", flush=True)


def commands(seeds: int) -> None:
    from graftwork_audio import demos

    data = gw.data(demos.commands(Path()))
    features, seconds = by_stage(data, "audio/wav2vec2-tiny")
    reader = load_factory(data.modality.reader)()
    features["log-mel"] = torch.from_numpy(demos.log_mel([reader.decode(raw) for raw in data.raws]))
    labels = list(map(str, data.labels or ()))
    print(f"commands: {len(labels)} clips, all stages in {seconds:.0f} s", flush=True)
    voice = [raw.name.rsplit("/", 1)[-1].split("-", 1)[1].rsplit("-", 1)[0] for raw in data.raws]
    voices = sorted(set(voice))
    last = list(features)[-3]
    for stage, values in features.items():
        found = [
            judged(values, labels, torch.tensor([w == "validation" for w in split(labels, None, HELD, seed)]))
            for seed in range(seeds)
        ]
        print(f"by chance, {stage}: {statistics.mean(found):.3f}", flush=True)
    for size in (2, 3):
        for held in combinations(voices, size):
            rows = torch.tensor([one in held for one in voice])
            found = {stage: judged(features[stage], labels, rows) for stage in (last, "log-mel")}
            print(f"{', '.join(held)}: " + ", ".join(f"{k} {v:.3f}" for k, v in found.items()), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("digits", "commands"))
    parser.add_argument("--each", type=int, nargs="+", default=[30])
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    if options.which == "digits":
        digits(options.each, options.seeds)
    else:
        commands(options.seeds)
