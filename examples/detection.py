"""Boxes in pictures, from a COCO file to a COCO file: python examples/detection.py [FOLDER]"""

from __future__ import annotations

import sys
from pathlib import Path

import graftwork as gw


def main(folder: Path) -> None:
    gw.require_plugins("graftwork-efficientnet-lite")
    data = gw.demo_data(
        "boxes", folder / "shapes"
    )  # 90 pictures of circles, squares and triangles; every sixth is empty
    # The encoder stays frozen and reads each picture once; the head trains on the maps that it gave.
    run = gw.fit(
        data, "image/efficientnet-lite0", task="detect", options={"size": 256}, batch_size=4, epochs=16,
        out=folder / "run",
    )  # fmt: skip
    for figure in run.task.figures:
        print(f"{figure.words}: {run.metrics[figure.name]:.3f}")

    pictures = sorted((data / "images").iterdir())[:3]
    answers = run.predict(pictures)
    for box in answers[0]["boxes"][:3]:
        print("{label} ({probability:.2f}) from {xmin}, {ymin} to {xmax}, {ymax}".format(**box))

    print(f"As COCO and drawn: {run.write_answers(pictures, folder / 'found')}")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "detection"))
    except gw.GraftworkError as error:
        sys.exit(str(error))
