"""Peak memory at 100 000 examples over that at 10 000: fitting (extraction and solving) data at hand and in a stream, and
predicting, each a process.

Synthetic texts of two words in 20 classes, MiniLM, two threads.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import figure

FIT = """
import sys, graftwork as gw
run = gw.fit(sys.argv[1], "text/minilm", c=1.0)
run.save(sys.argv[2])
"""
STREAM = FIT.replace("sys.argv[1]", "gw.stream(sys.argv[1])")
PREDICT = """
import csv, sys, graftwork as gw
texts = (row[0] for row in csv.reader(open(sys.argv[1])))
print(sum(answer["label"] is not None for answer in gw.load(sys.argv[2]).stream(texts)), "answers")
"""


def peak(code: str, *arguments: str, cache: Path) -> tuple[float, float]:
    """Megabytes at the most, and seconds."""
    begun = time.perf_counter()
    environment = {**os.environ, "GRAFTWORK_CACHE": str(cache), "OMP_NUM_THREADS": "2"}
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return usage.ru_maxrss / 1e3, time.perf_counter() - begun


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        found: dict[str, list[float]] = {"fit": [], "stream": [], "predict": []}
        for count in (10_000, 100_000):
            table = work / f"{count}.csv"
            with table.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["text", "label"])
                writer.writerows([f"{number % 20} {number}", f"label{number % 20}"] for number in range(count))
            for name, code, run in (("fit", FIT, "run"), ("stream", STREAM, "streamed"), ("predict", PREDICT, "run")):
                megabytes, seconds = peak(code, str(table), str(work / f"{run}{count}"), cache=work / f"{name}{count}")
                found[name].append(megabytes)
                print(f"{name} {count}: {megabytes:.0f} MB at the most, {seconds:.0f} s", flush=True)
        for name, (few, many) in found.items():
            figure(f"peak memory of {name} at 100 000 texts, over that at 10 000", many / few, "times")


if __name__ == "__main__":
    main()
