"""A plugin that brings a modality of its own, installed and used: python examples/a_new_modality/a_new_modality.py

The plugin is the folder `melodies` beside this file: what it registers, and its encoder.
"""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import graftwork as gw

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}


def install(package: Path, folder: Path) -> None:
    """What `pip install` of its wheel writes, into a folder of its own: the package, and the entry point."""
    shutil.copytree(package, folder / package.name)
    about = folder / f"{package.name}-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.name}\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text(f"[graftwork]\n{package.name} = {package.name}.plugin\n")
    sys.path.insert(0, str(folder))


def melodies(folder: Path) -> Path:
    """Forty made-up melodies each in major and in minor, from any first note, up and down the octaves."""
    chance = random.Random(0)
    for label, scale in SCALES.items():
        (folder / label).mkdir(parents=True)
        for number in range(40):
            first = chance.randint(48, 72)
            others = [first + chance.choice(scale) + chance.choice((-12, 0, 12)) for _ in range(15)]
            (folder / label / f"{number:02}.notes").write_text(" ".join(map(str, [first, *others])))
    return folder


def main(folder: Path) -> None:
    install(Path(__file__).parent / "melodies", folder / "site-packages")
    gw.require_plugins("melodies")
    data = gw.data(melodies(folder / "melodies"))
    print(f"Read by the plugin: {len(data)} {data.observed.items}")
    run = gw.fit(data, "melody/steps")
    print(f"melody/steps: {run.record['headline']}")
    (answer,) = run.predict(b"60 62 63 65 67 68 70 72")
    print(f"C D E flat F G A flat B flat C: {answer['label']}")


if __name__ == "__main__":
    try:
        with TemporaryDirectory() as folder:
            main(Path(folder))
    except gw.GraftworkError as error:
        sys.exit(str(error))
