"""Trains the starter encoder by `graftwork.pretrain`: distilled from the encoder of teacher.py on the corpus of
corpus.py.

    python tools/train.py CORPUS OUT [--resume]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

SETTINGS = {"epochs": 4, "batch_size": 32, "lr": 1e-3, "weight_decay": 0.01, "warmup": 0.05, "precision": "fp32"}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("corpus", type=Path)
    asked.add_argument("out", type=Path)
    asked.add_argument("--resume", action="store_true")
    asked.add_argument("--threads", type=int, default=2)
    asked.add_argument("--epochs", type=int, default=SETTINGS["epochs"])
    options = asked.parse_args()
    torch.set_num_threads(options.threads)

    import teacher

    import graftwork

    if not teacher.here():
        sys.exit(f"The teacher's weights are not in '{teacher.moonshine.FOLDER}'.")

    def watch(progress: Any) -> None:
        if progress.done or progress.step % 50 == 0:
            left = progress.seconds_left / 60
            print(f"{progress.step}/{progress.steps} loss {progress.loss:.4f}, {left:.0f} min left", flush=True)

    made = graftwork.pretrain(
        options.corpus, "wav2vec2-tiny", "distill", options.out, teacher=teacher.NAME,
        license="CC-BY-SA-4.0", half=True, resume=options.resume, watch=watch,
        **{**SETTINGS, "epochs": options.epochs},
    )  # fmt: skip
    print(made.card["figures"])


if __name__ == "__main__":
    main()
