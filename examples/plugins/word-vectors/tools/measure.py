"""Prints how word vectors fare on the demo's messages, beside words without vectors and an encoder of whole texts.

Run it in the repository with what `make setup` makes: .venv/bin/python examples/plugins/word-vectors/tools/measure.py
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import graftwork as gw
from graftwork.demo import baseline
from graftwork.plugins.loading import installed
from graftwork.specs.factories import load_factory

SEEDS = (0, 1, 2)
FITS = (
    ("text/glove-50d", "head"),
    ("text/glove-50d-idf", "head"),
    ("text/glove-50d-idf", "all"),
    ("text/minilm", "head"),
)


def row(name: str, accuracies: list[float], seconds: float | None) -> None:
    each = " · ".join(f"{accuracy:.3f}" for accuracy in accuracies)
    mean = sum(accuracies) / len(accuracies)
    print(f"| {name} | {mean:.3f} | {each} | {'–' if seconds is None else f'{seconds:.1f}'} |", flush=True)


def main() -> None:
    demo = installed().registered["demos"]["messages"]
    data = gw.data(load_factory(demo.data)(Path()))
    print("| encoder | accuracy | by seed | seconds, the fastest fit |\n|---|---|---|---|")
    row(demo.baseline_name, [baseline(demo, data, seed) for seed in SEEDS], None)
    for backbone, freeze in FITS:
        accuracies, seconds = [], []
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as os.environ["GRAFTWORK_CACHE"]:  # so that no features are found
                begun = time.perf_counter()
                accuracies.append(gw.fit(data, backbone, freeze=freeze, seed=seed).metrics["accuracy"])
                seconds.append(time.perf_counter() - begun)
        row(f"`{backbone}`" + (", trained" if freeze == "all" else ""), accuracies, min(seconds))


if __name__ == "__main__":
    main()
