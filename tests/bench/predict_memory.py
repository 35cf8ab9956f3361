"""Memory and order of `graftwork predict` on a Parquet of 10 000 and of 100 000 texts, written to a table.

Usage: predict_memory.py [BACKBONE], by default text/glove-50d, which needs no more memory itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import graftwork as gw

WORDS = ["rain", "wind", "snow", "storm", "salt", "butter", "onion", "soup", "day", "dish"]


def texts(count: int) -> list[str]:
    return [" ".join(WORDS[(number // 10**k) % 10] for k in range(6)) + f" number {number}" for number in range(count)]


def peak(command: list[str]) -> float:
    """The most memory that a command took, in MiB."""
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(started.pid, 0)
    assert status == 0, command
    return usage.ru_maxrss / 1024


def main(backbone: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        rows = [{"text": text, "label": "odd" if number % 2 else "even"} for number, text in enumerate(texts(300))]
        run = gw.fit(gw.data(rows), backbone, out=f"{place}/run").path
        found = []
        for count in (10_000, 100_000):
            table = pa.table({"id": range(count), "text": texts(count)})
            pq.write_table(table, f"{place}/{count}.parquet", row_group_size=10_000)
            out = Path(place) / f"{count}-out.parquet"
            begun = time.perf_counter()
            command = [sys.executable, "-m", "graftwork", "predict", str(run), f"{place}/{count}.parquet"]
            found.append(peak([*command, "--out", str(out)]))
            answers = pq.read_table(out)
            in_order = answers["id"].to_pylist() == list(range(count)) and answers["text"].equals(table["text"])
            print(
                f"{count} texts: {found[-1]:.0f} MiB, {time.perf_counter() - begun:.1f} s, "
                f"{'in order' if in_order else 'OUT OF ORDER'}, answered {answers['predicted_label'].null_count == 0}"
            )
        print(f"memory for 100 000 by memory for 10 000: {found[1] / found[0]:.3f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "text/glove-50d")
