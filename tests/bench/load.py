"""A warm fit of 10 000 short texts in 77 classes beside `python -c "import torch"`, and the solver alone and beside four
busy processes, which this script starts and ends.

The whole process is measured: the features are in the store, and so is what the same fit chose and solved before; then
the same with another seed each time, of which the store holds the features alone. The solver is measured without what
was chosen before: path and final problem in one process, in as many threads as torch has. Both sides in turn, medians.
Usage: load.py [ROUNDS]
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from figures import figure

sys.path.insert(0, str(Path(__file__).parent))

COUNT, BUSY, THREADS = 10_000, 4, 2


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many other processes that compute all the time."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def seconds(command: list[str], work: Path) -> float:
    environment = {**os.environ, "GRAFTWORK_CACHE": str(work / "cache"), "OMP_NUM_THREADS": str(THREADS)}
    begun = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def fit(table: Path, work: Path, seed: int = 0) -> float:
    out = work / "run"
    shutil.rmtree(out, ignore_errors=True)
    words = ["fit", str(table), "--backbone", "text/minilm", "--json", "--out", str(out), "--seed", str(seed)]
    return seconds([sys.executable, "-m", "graftwork", *words], work)


def solver_seconds(file: Path) -> float:
    """The path and the final problem, in a process of its own that has begun."""
    done = subprocess.run(
        [sys.executable, __file__, "solve", str(file)], check=True, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(THREADS)},
    )  # fmt: skip
    return float(done.stdout.strip().splitlines()[-1])


def solve(file: Path) -> None:
    import torch

    from graftwork.features.dataset import FeatureDataset
    from graftwork.tasks.losses import Softmax
    from graftwork.training import solver

    values, targets, held = torch.load(file)
    parts = [FeatureDataset(values, targets[rows], rows) for rows in ((~held).nonzero()[:, 0], held.nonzero()[:, 0])]
    count, begun = int(targets.max()) + 1, time.perf_counter()
    chosen = solver.choose(*parts, count, Softmax())
    solver.solve(parts[0] + parts[1], count, chosen.l2, Softmax(), near=chosen)
    print(time.perf_counter() - begun)


def features(table: Path, work: Path) -> Path:
    """What the solver is given in the fit, in a file."""
    import torch

    import graftwork as gw
    from graftwork.training import trainer

    given: list[trainer.Job] = []
    train = trainer.ExactEngine.train
    trainer.ExactEngine.train = lambda self, job: given.append(job) or train(self, job)
    os.environ["GRAFTWORK_CACHE"] = str(work / "cache")
    gw.fit(table, "text/minilm", tap="last")
    (job,) = given
    held = torch.zeros(len(job.data), dtype=torch.bool)
    held[list(job.data.splits["validation"])] = True
    torch.save((job.data.all_values, job.data.targets, held), work / "given.pt")
    return work / "given.pt"


def main(rounds: int) -> None:
    import texts

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        table = texts.write(work / "messages.csv", COUNT)
        print(f"cold {fit(table, work):.1f} s", flush=True)
        file = features(table, work)
        bare = [sys.executable, "-c", "import torch"]
        warm, alone, beside = [], [], []
        for number in range(rounds):
            warm.append((fit(table, work), fit(table, work, number + 1), seconds(bare, work)))
            alone.append(solver_seconds(file))
            with busy(BUSY):
                beside.append(solver_seconds(file))
            print(
                f"warm fit {warm[-1][0]:.2f} s, with another seed {warm[-1][1]:.2f} s, import torch {warm[-1][2]:.2f} s; "
                f"solver alone {alone[-1]:.2f} s, beside {BUSY} busy processes {beside[-1]:.2f} s",
                flush=True,
            )
        for place, what in enumerate(("warm fit", "warm fit with another seed")):
            ratio = statistics.median(row[place] / row[2] for row in warm)
            figure(f"{what} of 10 000 messages, whole process, over `import torch`", ratio, "times")
        ratio = statistics.median(beside) / statistics.median(alone)
        figure(f"the solver beside {BUSY} busy processes, over alone", ratio, "times")


if __name__ == "__main__":
    if sys.argv[1:2] == ["solve"]:
        solve(Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
