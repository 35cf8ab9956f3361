"""An encoder of your own: pretrained, used, and published as a plugin: python examples/own_encoder.py"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import graftwork as gw


def elsewhere(*words: object, installed: Path) -> str:
    """What a command prints in another process, where the plugin in this folder is installed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "graftwork", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def main(folder: Path) -> None:
    gw.require_plugins("graftwork-image", "graftwork-efficientnet-lite")
    digits = gw.demo_data("digits", folder / "digits")
    few = folder / "few"  # the task: 6, 7, 8 and 9, of which there are ten pictures each to learn from
    for label in "6789":
        for number, file in enumerate(sorted((digits / label).iterdir())[:40]):
            place = few / ("train" if number < 10 else "test") / label
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
        shutil.rmtree(digits / label)

    made = gw.pretrain(digits, "resnet-tiny", "supervised", folder / "round", epochs=6, license="Apache-2.0")
    print(f"Pretrained on {made.card['data']['examples']} pictures of the digits 0 to 5.")
    for name in (made.name, "image/efficientnet-lite0"):
        run = gw.fit(few, name, tap="last")
        who = "The own encoder" if name == made.name else name
        print(f"{who}: {run.metrics['test']['accuracy']:.2f} of the digits 6 to 9 are right")

    # Published: a package with the weights and their card. `pip install` adds its entry point, here to a folder alone.
    elsewhere("new", "plugin", "round-digits", "--weights", made.folder, "--out", folder, installed=folder)
    source = folder / "round-digits" / "src"
    about = source / "round_digits-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: round-digits\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text("[graftwork]\nround-digits = round_digits.plugin\n")
    asked = ("fit", few, "--backbone", "image/round-digits", "--out", folder / "run", "--json")
    record = json.loads(elsewhere(*asked, installed=source))
    print(f"Published and installed, {record['backbone']}: {record['metrics']['test']['accuracy']:.2f}")


if __name__ == "__main__":
    try:
        with TemporaryDirectory() as folder:
            main(Path(folder))
    except gw.GraftworkError as error:
        sys.exit(str(error))
