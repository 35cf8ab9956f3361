"""Blood cells found by image/efficientnet-lite0: frozen with its states kept, and tuned.

Prints map, map_50, the AP50 of each label and the seconds of each fit. The labels of red cells (RBC) are incomplete in
this set: cells that nobody marked count as wrong where they are found, so no figure can reach 1.

Usage: detect_blood_cells.py FOLDER [--seeds N] [--threads N] [--freeze POLICY ...] [--epochs N]. FOLDER is a Pascal VOC
folder with splits, as its authors give it.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
from typing import Any

import torch

import graftwork as gw

ENCODER = "image/efficientnet-lite0"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder")
    asked.add_argument("--seeds", type=int, default=1)
    asked.add_argument("--threads", type=int, default=2)
    asked.add_argument("--freeze", nargs="+", default=["head", "all"])
    asked.add_argument("--epochs", type=int, default=12)
    said = asked.parse_args()
    torch.set_num_threads(said.threads)
    print(f"{platform.processor() or platform.machine()}, {said.threads} threads of {os.cpu_count()} processors")
    data = gw.data(said.folder, task="detect")
    settings: dict[str, Any] = {
        "task": "detect", "device": "cpu", "cache": False, "patience": 0, "epochs": said.epochs, "augment": True,
    }  # fmt: skip
    for freeze in said.freeze:
        found = []
        for seed in range(said.seeds):
            # What is frozen is kept, so of each picture so many changed versions are; a tuned encoder sees a new one each
            # time.
            run = gw.fit(data, ENCODER, freeze=freeze, seed=seed, views=4 if freeze == "head" else 0, **settings)
            metrics, trained = run.metrics, run.record["training"]
            found.append(metrics["map_50"])
            labels = ", ".join(f"{name} {value:.3f}" for name, value in metrics["by_label"]["ap_50"].items())
            print(
                f"{freeze}, seed {seed}: map_50 {metrics['map_50']:.3f} ({labels}), map {metrics['map']:.3f}, "
                f"{run.record['timings']['total']:.0f} s, {trained['steps']} steps, {trained['precision']}, "
                f"states kept: {trained['states_kept']}, certificate: {run.record['certificate']['ok']}",
                flush=True,
            )
        print(f"{freeze}: map_50 {statistics.mean(found):.3f} on average of {len(found)}")


if __name__ == "__main__":
    main()
