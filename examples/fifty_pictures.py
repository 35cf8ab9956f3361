"""How much to train on 50 pictures, and on 300: python examples/fifty_pictures.py

Option 1 keeps the encoder frozen and trains a head (`head`). Option 2 trains all of it (`all`). Two stages do one after
the other (`lpft`): the head first, then all at a tenth of the rate.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import graftwork as gw

EPOCHS = 2


def part(digits: Path, each: int, folder: Path) -> Path:
    """`each` pictures of each digit to learn from, and of other ones ten to be judged by."""
    for label in sorted(digits.iterdir()):
        files = sorted(label.iterdir())
        for split, chosen in (("train", files[10:][:each]), ("test", files[:10])):
            place = folder / split / label.name
            place.mkdir(parents=True)
            for file in chosen:
                shutil.copy(file, place)
    return folder


def main(folder: Path) -> None:
    gw.require_plugins("graftwork-efficientnet-lite")
    digits = gw.demo_data("digits", folder / "digits")
    print("pictures  policy  test accuracy")
    for each in (5, 30):
        data = gw.data(part(digits, each, folder / str(each)))
        for policy in ("head", "all", "lpft"):
            training = {} if policy == "head" else {"epochs": EPOCHS, "batch_size": 8}
            run = gw.fit(data, "image/efficientnet-lite0", freeze=policy, tap="last", **training)
            print(f"{10 * each:8}  {policy:6}  {run.metrics['test']['accuracy']:.2f}", flush=True)


if __name__ == "__main__":
    try:
        with TemporaryDirectory() as folder:
            main(Path(folder))
    except gw.GraftworkError as error:
        sys.exit(str(error))
