"""Freeze policies beside each other on real data of three modalities: accuracy on examples that no policy saw, seconds,
trained parameters and peak memory.

Each fit is a process of its own. All of a seed share their training part (a fifth of it held out) and their test part;
the head is not solved again on the held-out part, so that every policy learns from the same examples. Spoken digits are
tested on two speakers that are not trained on, two others for each seed.

usage: policies.py [MODALITY ...] [--seeds 5] [--few 2]    (policies other than head, all and lpft run `few` seeds)
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

BENCH = Path(__file__).resolve().parent
DATA = BENCH.parents[2] / "shared" / "data"
MESSAGES = BENCH.parents[1] / "plugins" / "text" / "src" / "graftwork_text" / "demo" / "messages.csv"

MAIN = ["head", "all", "lpft"]
OTHERS = ["last:2", "gradual:1", "layerwise:0.8", "lpft+layerwise:0.8", "bitfit", "norm", "lora:r=8"]
BACKBONES = {"text": "text/minilm", "image": "image/efficientnet-lite0", "audio": "audio/moonshine-tiny"}
OPTIONS = {"text": {"epochs": 6}, "image": {"epochs": 4, "batch_size": 8}, "audio": {"epochs": 10}}
"""Fewer passes than `fit` would take on so few data, to keep the whole within an hour and a half."""


def write(modality: str, seed: int, folder: Path) -> Path:
    """A table of this seed's examples with their splits."""
    rows = list({"text": texts, "image": photos, "audio": clips}[modality](random.Random(f"{modality} {seed}")))
    table = folder / f"{modality}.jsonl"
    column = "text" if modality == "text" else "file"
    table.write_text("".join(json.dumps({column: a, "label": b, "split": c}) + "\n" for a, b, c in rows))
    return table


def texts(rng: random.Random) -> Iterator[tuple[str, str, str]]:
    """The demo's 400 messages in 8 intents: 200 to train on, 200 to test on."""
    import csv

    with MESSAGES.open(encoding="utf-8") as file:
        rows = [(row["text"], row["label"]) for row in csv.DictReader(file)]
    for label in sorted({label for _, label in rows}):
        chosen = [text for text, other in rows if other == label]
        rng.shuffle(chosen)
        for place, text in enumerate(chosen):
            yield text, label, "train" if place % 2 else "test"


def photos(rng: random.Random) -> Iterator[tuple[str, str, str]]:
    """CIFAR-10: 16 images a class to train on, 30 to test on."""
    for part, count in (("train", 16), ("test", 30)):
        for folder in sorted((DATA / "cifar10_subset" / part).iterdir()):
            for file in rng.sample(sorted(folder.iterdir()), count):
                yield str(file), folder.name, part


def clips(rng: random.Random) -> Iterator[tuple[str, str, str]]:
    """Spoken digits: 4 speakers with 6 clips a digit to train on, 2 with 20 to test on."""
    found: dict[tuple[str, str], list[Path]] = {}
    for file in sorted((DATA / "spoken_digits").glob("*.wav")):
        digit, speaker, _ = file.stem.split("_")
        found.setdefault((speaker, digit), []).append(file)
    speakers = sorted({speaker for speaker, _ in found})
    tested = rng.sample(speakers, 2)
    for (speaker, digit), files in found.items():
        part, count = ("test", 20) if speaker in tested else ("train", 6)
        for file in rng.sample(files, count):
            yield str(file), digit, part


def one(modality: str, table: str, policy: str, seed: int) -> None:
    """One fit, in this process."""
    import resource

    import torch

    import graftwork as gw

    torch.set_num_threads(2)
    if modality == "audio":
        import moonshine

        moonshine.here()
    begun = time.perf_counter()
    options = {} if policy == "head" else OPTIONS[modality]
    run = gw.fit(
        gw.data(table, allow_outside=True),  # photographs and clips stay where they are
        BACKBONES[modality],
        freeze=policy,
        seed=seed,
        precision="fp32",
        refit=None if options else False,
        **options,
    )
    stages = run.record["certificate"]["stages"]
    numbers = {
        f"{stage.name}.{gw_name(name)}": p.numel()
        for stage in run.backbone().stages()
        for name, p in stage.named_parameters()
    }
    trained = sum(numbers.get(f"{name}.{tensor}", 0) for name, entry in stages.items() for tensor in entry["trained"])
    print(json.dumps({
        "modality": modality, "policy": policy, "seed": seed, "accuracy": run.metrics["test"]["accuracy"],
        "validation": run.metrics["accuracy"], "seconds": time.perf_counter() - begun, "trained": trained,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }))  # fmt: skip


def gw_name(name: str) -> str:
    from graftwork.freeze.freezing import plain

    return plain(name)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("modalities", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--few", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="policies; left out, all")
    parser.add_argument("--one", nargs=4)
    asked = parser.parse_args()
    if asked.one:
        modality, table, policy, seed = asked.one
        return one(modality, table, policy, int(seed))
    rows: list[dict] = []
    for modality in asked.modalities or list(BACKBONES):
        for seed in range(asked.seeds):
            with tempfile.TemporaryDirectory() as folder:
                table = write(modality, seed, Path(folder))
                chosen = MAIN + (OTHERS if seed < asked.few else [])
                for policy in [policy for policy in chosen if not asked.only or policy in asked.only]:
                    command = [sys.executable, __file__, "--one", modality, str(table), policy, str(seed)]
                    done = subprocess.run(command, capture_output=True, text=True, check=False)
                    if done.returncode:
                        print(f"{modality} {policy}: {done.stderr.strip().splitlines()[-1]}", flush=True)
                        continue
                    rows.append(json.loads(done.stdout))
                    print(done.stdout.strip(), flush=True)
        report([row for row in rows if row["modality"] == modality])
    return None


def report(rows: list[dict]) -> None:
    print("| modality | policy | seeds | test accuracy | deviation | seconds | trained parameters | peak memory, GB |")
    print("|---|---|---|---|---|---|---|---|")
    for policy in dict.fromkeys(row["policy"] for row in rows):
        chosen = [row for row in rows if row["policy"] == policy]
        scores = [row["accuracy"] for row in chosen]
        spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
        seconds, memory = (statistics.median(row[key] for row in chosen) for key in ("seconds", "memory"))
        print(
            f"| {chosen[0]['modality']} | {policy} | {len(chosen)} | {statistics.mean(scores):.3f} | {spread:.3f} "
            f"| {seconds:.0f} | {chosen[0]['trained']:,} | {memory:.2f} |",
            flush=True,
        )
    by = {policy: {r["seed"]: r["accuracy"] for r in rows if r["policy"] == policy} for policy in MAIN}
    for other in ("head", "all"):
        gains = [by["lpft"][seed] - by[other][seed] for seed in by["lpft"] if seed in by[other]]
        if len(gains) > 1:
            error = statistics.stdev(gains) / len(gains) ** 0.5
            print(f"lpft against {other}, seed by seed: {statistics.mean(gains):+.3f} (standard error {error:.3f})")


if __name__ == "__main__":
    main()
