"""Cold fits of a frozen head by this checkout and by an older one, in turn, as whole processes: 3 000 short texts with MiniLM,
and 250 photographs with EfficientNet-Lite0; then commands that list. Both run on this environment's libraries.

usage: against_checkout.py OLD [PAIRS]    (OLD: a folder that `git worktree add OLD REVISION` made)
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

NEW = Path(__file__).resolve().parents[2]
PACKAGES = ("core", "plugins/*", "examples/plugins/*")


def seconds(checkout: Path, arguments: list[str], store: str) -> float:
    """Of a command by the sources of a checkout."""
    sources = [str(folder / "src") for pattern in PACKAGES for folder in sorted(checkout.glob(pattern))]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sources),
        "GRAFTWORK_CACHE": store,
        "OMP_NUM_THREADS": "2",
    }
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "graftwork", *arguments], env=environment, capture_output=True, check=True)
    return time.perf_counter() - begun


def compare(name: str, arguments: list[str], old: Path, pairs: int, scratch: str) -> None:
    rows = []
    for pair in range(pairs):
        both = []
        for side, checkout in (("old", old), ("new", NEW)):
            more = ["--out", f"{scratch}/{name}-{side}-{pair}", "--precision", "fp32"] if arguments[0] == "fit" else []
            both.append(seconds(checkout, [*arguments, *more], f"{scratch}/store-{name}-{side}-{pair}"))
        rows.append(both)
    before, after = (statistics.median(side) for side in zip(*rows, strict=True))
    ratio = statistics.median(new / old_ for old_, new in rows)
    print(
        f"{name}: before {before:.2f} s, after {after:.2f} s, ratio {ratio:.2f} (medians of {pairs} pairs)", flush=True
    )


def main(old: str, pairs: int) -> None:
    import photo_fit
    import texts

    with tempfile.TemporaryDirectory() as scratch:
        table = texts.write(Path(scratch) / "messages.csv", 3000)
        photos = photo_fit.write(Path(scratch) / "photos")
        for name, arguments in (
            ("texts", ["fit", str(table), "--backbone", "text/minilm"]),
            ("photographs", ["fit", str(photos), "--backbone", "image/efficientnet-lite0"]),
            ("help", ["--help"]),
            ("plugins", ["plugins"]),
            ("backbones", ["backbones"]),
        ):
            compare(name, arguments, Path(old), pairs, scratch)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3)
