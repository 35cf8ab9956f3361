"""Runs benches and keeps what they measure in docs/figures, a file for each kind of machine; then makes the page.

A figure that is measured again replaces the one before; others stay, with the commit that they are of.

Usage: measure.py [BENCH ...], all of them without names: "cold_fit", or "cold_fit 1" with its own arguments
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import FIGURES, machine
from page import DOCS

HERE = Path(__file__).parent
BENCHES = (
    "engines", "extraction_bound 3", "cold_fit 3", "load 5", "text_fit", "photo_fit", "frozen_trainer 10 1", "against_trainer",
    "boundary 3", "head_accuracy", "check_speed", "memory", "sharing", "kills", "policies",
)  # fmt: skip


def keep(measured: list[dict[str, Any]], where: dict[str, Any], folder: Path) -> Path:
    """Add figures to those that are kept of such a machine. Returns the file."""
    file = folder / f"{where['kind'].lower().replace(' ', '-')}.json"
    known = json.loads(file.read_text(encoding="utf-8"))["figures"] if file.is_file() else []
    rows = {(row["script"], row["what"]): row for row in [*known, *measured]}
    folder.mkdir(parents=True, exist_ok=True)
    said = {"machine": where, "figures": list(rows.values())}
    file.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def run(bench: str) -> list[dict[str, Any]]:
    """The figures of a bench. Raises `subprocess.CalledProcessError` if it fails."""
    name, *arguments = bench.split()
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "figures"
        command = [sys.executable, str(HERE / f"{name}.py"), *arguments]
        subprocess.run(command, env={**os.environ, FIGURES: str(lines)}, check=True)
        found = [json.loads(line) for line in lines.read_text().splitlines()] if lines.is_file() else []
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    )
    about = {"script": f"{name}.py", "commit": commit.stdout.strip() or "unknown", "date": time.strftime("%Y-%m-%d")}
    return [{**row, **about} for row in found]


def main(benches: list[str]) -> int:
    failed = 0
    for bench in benches or BENCHES:
        print(f"\n{bench}", flush=True)
        try:
            keep(run(bench), machine(), DOCS / "figures")
        except subprocess.CalledProcessError as error:
            failed += 1
            print(f"{bench} failed: exit {error.returncode}", flush=True)
    subprocess.run([sys.executable, str(HERE / "page.py")], check=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
