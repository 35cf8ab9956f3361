"""The class of each pixel, from pictures with masks to masks of pictures: python examples/segmentation.py [FOLDER]"""

from __future__ import annotations

import sys
from pathlib import Path

import graftwork as gw


def main(folder: Path) -> None:
    gw.require_plugins("graftwork-efficientnet-lite")
    data = gw.demo_data("masks", folder / "shapes")  # 90 pictures of circles, squares and triangles
    # A linear head on one map of the frozen encoder is solved in seconds; head="unet" draws finer, in minutes.
    run = gw.fit(
        data, "image/efficientnet-lite0", task="segment", head="map-linear", options={"size": 320}, out=folder / "run"
    )
    for figure in run.task.figures:
        print(f"{figure.words}: {run.metrics[figure.name]:.3f}")

    pictures = sorted((data / "images").iterdir())[:3]
    answers = run.predict(pictures)
    print(f"{pictures[0].name}: {answers[0]['mask'].shape}, circles {answers[0]['shares']['circle']:.1%}")

    print(f"As palette images and drawn: {run.write_answers(pictures, folder / 'painted')}")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "segmentation"))
    except gw.GraftworkError as error:
        sys.exit(str(error))
