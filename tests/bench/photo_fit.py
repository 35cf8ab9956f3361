"""A cold head-only fit of EfficientNet-Lite0 on 250 photographs in two classes, as a whole process: median of three.

The photographs are 250 different cuts, 500 x 375 pixels, of the two that come with scikit-learn, saved as JPEG.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import figure

COUNT = 125
SIZE = (500, 375)


def write(folder: Path) -> Path:
    from PIL import Image
    from sklearn.datasets import load_sample_images

    rng = random.Random(0)
    for label, pixels in zip(("temple", "flower"), load_sample_images().images, strict=True):
        (folder / label).mkdir(parents=True)
        photo = Image.fromarray(pixels)
        for number in range(COUNT):
            part = rng.uniform(0.4, 0.9)
            width, height = int(photo.width * part), int(photo.height * part)
            left, top = rng.randint(0, photo.width - width), rng.randint(0, photo.height - height)
            cut = photo.crop((left, top, left + width, top + height)).resize(SIZE)
            cut.save(folder / label / f"{number:03}.jpg", quality=90)
    return folder


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        photos = write(Path(folder) / "photos")
        seconds = []
        for number in range(3):
            command = [
                "fit",
                str(photos),
                "--backbone",
                "image/efficientnet-lite0",
                "--json",
                "--out",
                f"{folder}/run{number}",
            ]
            begun = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "graftwork", *command], capture_output=True, text=True, check=True
            )
            seconds.append(time.perf_counter() - begun)
            run = json.loads(done.stdout)
        figure("cold fit of 250 photographs, EfficientNet-Lite0", statistics.median(seconds), "s")
        print(f"  accuracy {run['metrics']['accuracy']:.3f}, {run['precision']}, {run['timings']}")


if __name__ == "__main__":
    main()
