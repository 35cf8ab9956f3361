"""Whether probabilities can be believed: calibration error and log loss on examples that chose nothing, by the temperature
of the fit and without it.

Each set is sampled by seed: some examples to fit on, the others to judge by. Demos of the plugins, and of DIR the folders
cifar10_subset, spoken_digits and clothing_reviews. Features are computed once for all seeds.

usage: calibration.py [--data DIR] [--train N]... [--seeds N] [--freeze POLICY] [--c C] [--only SET]...
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MOST = 600
"""Examples that a set is judged by at the most."""

Example = tuple[Any, str]


def demos(scratch: Path) -> Iterator[tuple[str, str, list[Example]]]:
    """The name, the encoder and the examples of each demo that asks for one label."""
    import graftwork as gw
    from graftwork.plugins.loading import installed
    from graftwork.plugins.registry import starter
    from graftwork.specs.factories import load_factory

    for demo in sorted(installed().registered["demos"].values(), key=lambda demo: demo.name):
        if demo.task == "classify":
            (place := scratch / demo.name).mkdir()
            data = gw.data(load_factory(demo.data)(place))
            try:
                backbone = starter(demo.modality).name
            except gw.WeightsUnavailable as error:
                print(f"{demo.name}: skipped, {error}")
                continue
            values = [raw.path or raw.value for raw in data.raws]
            yield demo.name, backbone, list(zip(values, map(str, data.labels or ()), strict=True))


def sets(folder: Path) -> Iterator[tuple[str, str, list[Example]]]:
    """The same of the folders of data at hand."""
    pictures, clips, table = folder / "cifar10_subset", folder / "spoken_digits", folder / "clothing_reviews"
    if pictures.is_dir():
        yield (
            pictures.name,
            "image/efficientnet-lite0",
            [(file, file.parent.name) for file in sorted(pictures.glob("*/*/*"))],
        )
    if clips.is_dir():
        yield clips.name, "audio/wav2vec2-tiny", [(file, file.name[0]) for file in sorted(clips.glob("*.wav"))]
    if table.is_dir():
        with (table / "train.csv").open(encoding="utf-8", newline="") as lines:
            rows = [
                row
                for row in csv.DictReader(lines)
                if row["Review Text"].strip() and row["Department Name"] not in ("", "Trend")
            ]
        yield table.name, "text/minilm", [(row["Review Text"], row["Department Name"]) for row in rows]
    for missing in (pictures, clips, table):
        if not missing.is_dir():
            print(f"{missing.name}: skipped, {missing} is no folder")


def written(examples: list[Example], train: int, place: Path) -> Path:
    """Examples in an order by chance, the first of them to train on and the others as a test split."""
    splits = ["train"] * train + ["test"] * (len(examples) - train)
    place.mkdir()
    if isinstance(examples[0][0], str):
        rows = [
            {"text": text, "label": label, "split": split}
            for (text, label), split in zip(examples, splits, strict=True)
        ]
        (place / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return place / "t.jsonl"
    for number, ((file, label), split) in enumerate(zip(examples, splits, strict=True)):
        (folder := place / split / label).mkdir(parents=True, exist_ok=True)
        (folder / f"{number:05}{Path(file).suffix}").symlink_to(Path(file).resolve())
    return place


def main(options: argparse.Namespace) -> None:
    import graftwork as gw

    print("set, freeze, examples to fit, to judge: how often tempered, median temperature; accuracy; "
          "calibration error before -> after; log loss before -> after")  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        os.environ["GRAFTWORK_CACHE"] = f"{name}/cache"
        scratch = Path(name)
        for title, backbone, examples in [*demos(scratch), *sets(options.data)]:
            if options.only and title not in options.only:
                continue
            random.Random(0).shuffle(examples)
            for asked in options.train:
                train = min(asked, len(examples) * 3 // 5)
                pool, found = examples[: train + MOST], []
                for seed in range(options.seeds):
                    random.Random(seed).shuffle(pool)
                    place = written(pool, train, scratch / f"{title}-{train}-{seed}")
                    run = gw.fit(place, backbone, freeze=options.freeze, c=options.c, seed=seed)
                    after = run.metrics["test"]
                    temperature = run.targets.learned["temperature"]
                    if temperature != 1:
                        run.targets = replace(run.targets, learned={})
                    found.append((temperature, after if temperature == 1 else run.evaluate(place)["metrics"], after))
                say(
                    f"{title}, {options.freeze}{f', C {options.c:g}' if options.c else ''}, {train}, {len(pool) - train}",
                    found,
                )


def say(title: str, found: list[tuple[float, dict[str, float], dict[str, float]]]) -> None:
    """Means over the seeds."""
    mean = {
        (name, when): statistics.mean(row[when][name] for row in found)
        for name in ("accuracy", "ece", "log_loss")
        for when in (1, 2)
    }
    tempered = [temperature for temperature, *_ in found if temperature != 1]
    print(
        f"{title}: {len(tempered)} of {len(found)}, {statistics.median(tempered or [1.0]):.2f}; "
        f"{mean['accuracy', 2]:.3f}; {mean['ece', 1]:.3f} -> {mean['ece', 2]:.3f}; "
        f"{mean['log_loss', 1]:.3f} -> {mean['log_loss', 2]:.3f}",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--train", type=int, nargs="+", default=[240])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--freeze", default="head")
    parser.add_argument("--c", type=float)
    parser.add_argument("--only", nargs="*", default=[])
    main(parser.parse_args())
