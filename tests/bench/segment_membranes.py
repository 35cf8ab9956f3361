"""Membranes in an electron microscope's pictures (20 slices of 512 x 512 pixels), found by image/efficientnet-lite0 in
five folds, four slices to judge by in each: frozen with a linear head, frozen with the decoder, tuned; and the same
network from random weights, trained as long as the tuned one.

Prints pixel accuracy, dice of the membrane, mean IoU and seconds of each fold, and their means.

Usage: segment_membranes.py [FOLDER] [--folds N ...] [--threads N] [--device NAME] [--kinds KIND ...] [--epochs N].
FOLDER holds images/ and masks/, in which level 0 is membrane. epochs: instead of those of each kind, to try it out.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import graftwork as gw
from graftwork import API_VERSION, BackboneSpec, hookimpl, load_backbone
from graftwork.plugins import loading, registry

ENCODER = "image/efficientnet-lite0"
FOLDS = 5
TRAINED = {"batch_size": 2, "head_lr": 2e-3, "augment": True, "patience": 0}
SHARED = {"task": "segment", "cache": False}
KINDS: dict[str, dict[str, Any]] = {
    "frozen, linear": {"head": "map-linear", "tap": "block5"},
    "frozen, decoder": {"epochs": 80, "views": 20, **TRAINED},
    "tuned": {"freeze": "all", "epochs": 100, "lr": 3e-3, **TRAINED, "head_lr": 5e-3},
    "from nothing": {"freeze": "all", "epochs": 100, "lr": 2e-3, **TRAINED},
}
OPTIONS = {"crop": 256, "elastic": True, "class_weights": 0.25}
"""Few parts of few slices: membranes are told by what is near, and bend everywhere. Mirrored only: the masks lie half a
pixel above what they outline, which in all eight orientations is half a pixel in any direction, and cannot be learned."""


class FromNothing:
    """A plugin: the encoder with random weights."""

    api_version = API_VERSION

    @hookimpl
    def graftwork_backbones(self) -> Iterator[BackboneSpec]:
        spec = registry.backbone(ENCODER)
        yield replace(spec, name="image/from-nothing", factory=f"{__name__}:from_nothing", starter=False)


def from_nothing(spec: BackboneSpec, weights: Path | None) -> gw.Backbone:
    """Statistics of batch norms are those of noise: with none, values vanish before training and the head is fitted to
    nothing."""
    model = load_backbone(registry.backbone(ENCODER), pretrained=False)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(gw.State(torch.randn(8, 3, 256, 256)))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    return model.eval()


def fold(data: Path, number: int, place: Path) -> Path:
    """The pictures with every fifth held out, in `train` and `val`, with the names of the two classes."""
    for row, image in enumerate(sorted((data / "images").iterdir(), key=lambda path: (len(path.stem), path.stem))):
        part = "val" if row % FOLDS == number else "train"
        for kind in ("images", "masks"):
            (place / part / kind).mkdir(parents=True, exist_ok=True)
            (place / part / kind / image.name).write_bytes((data / kind / image.name).read_bytes())
        (place / part / "classes.csv").write_text("level,name\n0,membrane\n255,cell\n")
    return place


def figures(metrics: Mapping[str, Any], seconds: float) -> dict[str, float]:
    overlap = metrics["by_label"]["iou"]["membrane"]
    return {
        "pixel accuracy": metrics["pixel_accuracy"],
        "dice of the membrane": 2 * overlap / (1 + overlap),
        "mean IoU": metrics["mean_iou"],
        "seconds": seconds,
    }


def averaged(run: gw.Run, data: Path) -> dict[str, float]:
    """The figures of answers that are the mean over a slice and its mirror image."""
    started = time.perf_counter()
    run.task.options["averaged"] = True
    return figures(run.evaluate(data / "val")["metrics"], time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path(__file__).resolve().parents[3] / "shared/data/membranes"
    )
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)), choices=range(FOLDS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--epochs", type=int)
    said = parser.parse_args()
    torch.set_num_threads(said.threads)
    report = loading.PluginReport("from-nothing", "bench", "0")
    loading.installed().load(FromNothing(), report)
    assert not report.errors, report.errors
    print(f"{said.threads} threads, {_processor()}, torch {torch.__version__}", flush=True)
    names = ("pixel accuracy", "dice of the membrane", "mean IoU", "seconds")
    print(f"| how | fold | {' | '.join(names)} |\n|{'---|' * (len(names) + 2)}")
    for kind in said.kinds:
        settings = dict(KINDS[kind])
        if said.epochs and "epochs" in settings:
            settings["epochs"] = said.epochs
        encoder = "image/from-nothing" if kind == "from nothing" else ENCODER
        rows, more = [], []
        for number in said.folds:
            with tempfile.TemporaryDirectory() as place:
                data = fold(said.folder, number, Path(place))
                started = time.perf_counter()
                run = gw.fit(data, encoder, options=OPTIONS, device=said.device, **SHARED, **settings)
                rows.append(figures(run.metrics, time.perf_counter() - started))
                more.append(averaged(run, data))
            print(f"| {kind} | {number} | {_row(rows[-1])} |\n| averaged | {number} | {_row(more[-1])} |", flush=True)
        for title, some in ((kind, rows), (f"{kind}, averaged", more)):
            means = {name: statistics.mean(row[name] for row in some) for name in names}
            print(f"| {title} | mean of {len(some)} | {_row(means)} |", flush=True)


def _row(row: dict[str, float]) -> str:
    return " | ".join(f"{value:.0f}" if name == "seconds" else f"{value:.3f}" for name, value in row.items())


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


if __name__ == "__main__":
    main()
