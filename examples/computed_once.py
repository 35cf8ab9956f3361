"""Ten fits, one pass through the encoder: python examples/computed_once.py"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import graftwork as gw

FITS = [
    {},
    {"seed": 1},
    {"seed": 2},
    {"c": 0.1},
    {"c": 10.0},
    {"tap": "block3"},
    {"tap": "all"},
    {"tap": "auto"},
    {"val": 0.4},
    {"balance": "weights"},
]
"""What ten fits ask for: other held-out parts, strengths, depths and weights of the examples."""


def main(folder: Path) -> None:
    # The feature store begins empty, so that the first fit finds nothing.
    gw.require_plugins("graftwork-text[starter]")
    os.environ["GRAFTWORK_CACHE"] = str(folder / "store")
    messages = gw.data(gw.demo_data("messages", folder))

    # Every fit says in its record how many examples were found there, and how many were computed.
    print(f"{'asked for':24} {'accuracy':>8} {'found':>6} {'computed':>9} {'took':>8}")
    found = computed = 0
    for asked in FITS:
        begun = perf_counter()
        run = gw.fit(messages, "text/minilm", **{"tap": "last", **asked})
        took = perf_counter() - begun
        found, computed = found + run.record["cache"]["hits"], computed + run.record["cache"]["misses"]
        words = ", ".join(f"{name} {value}" for name, value in asked.items()) or "nothing else"
        cache = run.record["cache"]
        accuracy = run.metrics["accuracy"]
        print(f"{words:24} {accuracy:8.3f} {cache['hits']:6} {cache['misses']:9} {took:6.1f} s")
    print(f"{len(messages)} messages, {len(FITS)} fits: {computed} passes through the encoder, {found} found.")


if __name__ == "__main__":
    try:
        with TemporaryDirectory() as folder:
            main(Path(folder))
    except gw.GraftworkError as error:
        sys.exit(str(error))
