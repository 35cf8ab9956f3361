"""`graftwork check` at size: 100 000 texts, and 20 000 photographs of 500 x 375 pixels, each as a whole process.

Prints seconds and peak memory, and the peak for a tenth of the examples beside it. Two threads.
"""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import texts
from figures import figure

TEXTS = 100_000
IMAGES = 20_000

MEASURED = """
import resource, sys, time
from graftwork.cli.app import _run

from figures import figure
begun = time.perf_counter()
code = _run(sys.argv[1:], json=True)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(code, time.perf_counter() - begun, peak, file=sys.stderr)
"""


def check(source: Path) -> tuple[float, float, dict]:
    """Seconds, peak memory in MB, and what was found."""
    command = [sys.executable, "-c", MEASURED, "check", str(source), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    code, seconds, peak = done.stderr.splitlines()[-1].split()
    assert code == "0"
    return float(seconds), float(peak), json.loads(done.stdout)


def write_texts(path: Path, count: int) -> Path:
    """Messages, of which every hundredth is a copy of an earlier one and every hundredth nearly so."""
    rng = random.Random(0)
    rows = [(f"{text} (case {rng.randrange(10**9)})", label) for text, label in texts.make(count, seed=3)]
    for number in range(100, count, 100):
        rows[number] = rows[number - 50]
        rows[number - 1] = (rows[number - 49][0] + "!", rows[number - 49][1])
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def write_images(folder: Path, count: int) -> Path:
    """Different cuts of two photographs; every hundredth file is an earlier one saved smaller."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    rng = random.Random(0)
    photos = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    for number in range(count):
        photo = photos[number % 2]
        part = rng.uniform(0.2, 0.9)
        width, height = int(photo.width * part), int(photo.height * part)
        left, top = rng.randint(0, photo.width - width), rng.randint(0, photo.height - height)
        cut = photo.crop((left, top, left + width, top + height)).resize((500, 375))
        place = folder / f"class{number % 2}" / f"{number:06}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        cut.save(place, quality=85)
        if number % 100 == 99:
            cut.resize((320, 240)).save(place.with_name(f"{number:06}-small.jpg"), quality=70)
    return folder


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, write, count, ending in (
            ("texts", write_texts, TEXTS, ".csv"),
            ("images", write_images, IMAGES, ""),
        ):
            small = check(write(Path(folder) / f"small{ending}", count // 10))
            seconds, peak, found = check(write(Path(folder) / f"large{ending}", count))
            problems = {problem["kind"]: problem["count"] for problem in found["problems"]}
            print(f"{count} {name}: {problems}")
            figure(f"check of {count:,} {name}".replace(",", " "), seconds, "s")
            figure(f"peak memory of that, over a tenth of the {name}", peak / small[1], "times")


if __name__ == "__main__":
    main()
