"""Read a folder of inputs that tools of this kind read wrongly, and say of each what became of it.

Usage: cases.py FOLDER, a folder with one input of each kind that `right` below names, as text/minilm and
image/efficientnet-lite0 read them. Exit 1 if one is read in another way than it should be.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import graftwork as gw

HALVES = {"weather": 30, "cooking": 30}


def counts(path: Path) -> dict[str, int]:
    return dict(Counter(str(label) for label in gw.data(path).labels or ()))


def refused(read: Callable[[], object]) -> str:
    try:
        read()
    except gw.GraftworkError as error:
        return error.message
    return "no refusal"


def predicted(folder: Path, name: str) -> int:
    with tempfile.TemporaryDirectory() as place:
        gw.fit(folder / "base.csv", out=f"{place}/run")
        command = [sys.executable, "-m", "graftwork", "predict", f"{place}/run", str(folder / name)]
        done = subprocess.run([*command, "--out", f"{place}/out.csv"], capture_output=True, text=True)
        if done.returncode:
            print(done.stderr.strip())
            return done.returncode
        return len(Path(f"{place}/out.csv").read_text().splitlines()) - 1


def forked(folder: Path) -> str:
    with tempfile.TemporaryDirectory() as place:
        gw.fit(folder / "base.csv", out=f"{place}/run")
        command = [sys.executable, str(folder / "fork.py"), f"{place}/run"]
        return subprocess.run(command, capture_output=True, text=True, timeout=300).stdout.splitlines()[-1]


def unknown(path: Path) -> str:
    problems = gw.check(path, backbone="text/minilm").problems
    return next((problem.message for problem in problems if problem.kind == "unknown_tokens"), "nothing said")


def main(root: Path) -> int:
    labels = {"weather", "cooking"}
    accents = {"météo", "pâtisserie"}
    right: dict[str, tuple[Callable[[Path], object], Callable[[object], bool]]] = {
        "splits-beside-macosx": (counts, lambda found: found == {"cat": 16, "dog": 16}),
        "splits-beside-empty": (counts, lambda found: found == {"cat": 16, "dog": 16}),
        "table-stray-quote.tsv": (counts, lambda found: found == HALVES),
        "links-to-folders": (counts, lambda found: found == {"cat": 12, "dog": 12}),
        "folder-name-latin1": (lambda path: gw.fit(path).labels, lambda found: found == ["café", "thé"]),
        "table-array.json": (counts, lambda found: set(found) == labels),
        "table-labels-like-dates.jsonl": (counts, lambda found: set(found) == {"2024-01-01", "2024-02-01"}),
        "long.jsonl": (counts, lambda found: found == {"weather": 31, "cooking": 30}),
        "long.csv": (counts, lambda found: found == {"weather": 31, "cooking": 30}),
        "table-cr-line-ends.csv": (counts, lambda found: set(found) == labels),
        "table-comma-in-header.csv": (
            lambda path: dict(Counter(gw.data(path, input="Comment, as given", label="Class").labels or ())),
            lambda found: set(found) == labels,
        ),
        "table-labels-nfc.csv": (counts, lambda found: set(found) == accents),
        "table-labels-nfd.csv": (counts, lambda found: set(found) == accents),
        "table-labels-nfmix.csv": (counts, lambda found: set(found) == accents),
        "table-nan-label.parquet": (lambda path: (counts(path), len(gw.data(path).bad)), lambda found: found[1] > 0),
        "predict-a-table": (
            lambda path: [predicted(path, name) for name in ("new.csv", "gone.csv")],
            lambda found: found[0] > 2 == found[1],
        ),
        "predict-after-fork": (forked, lambda found: found.startswith("children")),
        "table-emoji.csv": (unknown, lambda found: "unknown to the encoder's vocabulary" in found),
        "table-label-only-in-validation.csv": (
            lambda path: refused(lambda: gw.fit(path)),
            lambda found: "which no training example has" in found,
        ),
        "clutter-thumbs": (counts, lambda found: found == {"cat": 12, "dog": 12}),
        "layout-metadata-csv": (counts, lambda found: set(found) == {"cat", "dog"}),
    }
    wrong = 0
    for name, (read, is_right) in right.items():
        if not (root / name).exists():
            print(f"absent  {name}")
            continue
        try:
            found = read(root / name)
            ok = is_right(found)
        except gw.GraftworkError as error:
            found, ok = error, False
        wrong += not ok
        print(f"{'right ' if ok else 'WRONG '}  {name}: {str(found)[:150]}")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
