"""Compares what each example prints with what it printed before, kept in examples/output.

python tests/docs/kept_output.py keep [NAME ...]         runs them and keeps what they print
python tests/docs/kept_output.py compare PYTHON FOLDER   runs a copy of the longest in another environment, and compares

Words are the same, whole numbers too. Figures with a decimal point and per cents may differ by the tolerance, since machines round
differently. Seconds and temporary folders are ignored.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"
OUTPUT = EXAMPLES / "output"
TOLERANCE = 0.1
"""Of a figure, and of one above 1 the part of it."""

SCRIPTS = {
    path.stem: path
    for path in sorted([*EXAMPLES.glob("*.py"), *(folder / f"{folder.name}.py" for folder in EXAMPLES.iterdir())])
    if path.is_file()
}
"""Each example by its name: a script, or the script of the same name in a folder."""

ARGUMENTS = {name: ["made"] for name in ("tagging", "transcription", "segmentation", "detection")}
"""Those that write files for their reader into a folder."""

LONGEST = ("detection", "fifty_pictures", "segmentation", "tagging", "transcription")
"""Those that `make wheels` runs; tests run the others, so that each is run once."""

ONE_ARITHMETIC = {
    "HF_HUB_OFFLINE": "1", "GRAFTWORK_OFFLINE": "1", "GRAFTWORK_CONFIG": os.devnull, "GRAFTWORK_ENGINE": "torch",
    "GRAFTWORK_PRECISION": "fp32", "GRAFTWORK_DECODER": "reader", "ATEN_CPU_CAPABILITY": "avx2",
}  # fmt: skip

_SECONDS = re.compile(r" *\b\d+(\.\d+)? (s|seconds)\b")
_FOLDER = re.compile(r"'?/\S*/(?=[^/\s])")
_FIGURE = re.compile(r"-?\d+\.\d+%?|\d+%")


def differences(printed: str, kept: str) -> list[str]:
    """Each line that is not what was kept, beside what was."""
    ours, theirs = (plain(text).splitlines() for text in (printed, kept))
    found = [
        f"printed: {one}\n   kept: {other}" for one, other in zip(ours, theirs, strict=False) if not same(one, other)
    ]
    if len(ours) != len(theirs):
        found.append(f"{len(ours)} lines were printed, {len(theirs)} are kept")
    return found


def plain(text: str) -> str:
    """Without what differs from run to run."""
    return _FOLDER.sub("", _SECONDS.sub(" SECONDS", text)).strip()


def same(one: str, other: str) -> bool:
    """Whether two lines differ in nothing but figures, and in those by no more than the tolerance."""
    if _spaced(_FIGURE.sub("#", one)) != _spaced(_FIGURE.sub("#", other)):
        return False
    pairs = zip(map(_value, _FIGURE.findall(one)), map(_value, _FIGURE.findall(other)), strict=True)
    return all(abs(ours - kept) <= TOLERANCE * max(1.0, abs(kept)) for ours, kept in pairs)


def _spaced(line: str) -> str:
    return " ".join(line.split())


def _value(figure: str) -> float:
    return float(figure[:-1]) / 100 if figure.endswith("%") else float(figure)


def kept(name: str) -> str:
    return (OUTPUT / f"{name}.txt").read_text(encoding="utf-8")


def run(name: str, python: str = sys.executable, examples: Path = EXAMPLES) -> subprocess.CompletedProcess[str]:
    """Run an example in an empty folder, with a feature store of its own.

    python: of the environment that it runs in. examples: a copy of the folder of examples.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = {**os.environ, **ONE_ARITHMETIC, "GRAFTWORK_CACHE": f"{folder}/.cache"}
        command = [python, str(examples / SCRIPTS[name].relative_to(EXAMPLES)), *ARGUMENTS.get(name, ())]
        return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)


def keep(names: list[str]) -> None:
    """Run examples and keep what they print."""
    OUTPUT.mkdir(exist_ok=True)
    for name in names or SCRIPTS:
        done = timed(name)
        (OUTPUT / f"{name}.txt").write_text(re.sub(r"/tmp/\w+", "/tmp/data", done), encoding="utf-8")


def compare(python: str, folder: str) -> None:
    """Run the longest examples of a copied folder in an environment, and compare what each prints; ends with status 1 if
    one differs."""
    begun, wrong = time.perf_counter(), []
    for name in LONGEST:
        wrong += [f"{name}: {line}" for line in differences(timed(name, python, Path(folder)), kept(name))]
    print(f"Examples: {len(LONGEST)} in {time.perf_counter() - begun:.0f} s.")
    if wrong:
        sys.exit("\n".join(wrong))


def timed(name: str, *where: Any) -> str:
    """What an example prints; its seconds are shown."""
    begun = time.perf_counter()
    done = run(name, *where)
    if done.returncode:
        sys.exit(f"{name} ended with {done.returncode}: {done.stderr}")
    print(f"{name}: {time.perf_counter() - begun:.0f} s", flush=True)
    return done.stdout


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "keep":
        keep(rest)
    else:
        compare(*rest)
