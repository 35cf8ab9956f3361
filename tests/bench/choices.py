"""Choices against the truth, on ten sets: the demos, and the classify sets of a folder at two sizes each.

Every fit is judged by examples that it never saw: what its set does not train on, or the test part of the folder's.
Parts: `tap` sets `--tap auto` beside `last`, cold, with the seconds of both; `rank` sets the first choice of `rank`, of
the order by size and of LogME beside the best encoder and depth there is.

Usage: choices.py [FOLDER] [--parts tap rank] [--sets NAME ...] [--seeds N] [--threads N]. FOLDER holds cifar10_subset,
spoken_digits and clothing_reviews; sets that are not there are left out, with the reason.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from scipy.stats import weightedtau

import graftwork as gw
from graftwork.data.splits import sample
from graftwork.plugins.loading import installed
from graftwork.specs.factories import load_factory

TESTED = 600
"""Examples that fits are judged by, at the most."""

HELD_OUT = 2
"""Speakers of the spoken digits that are tested on alone."""

Rows = Sequence[tuple[str, str]]


def demo(name: str) -> Callable[[Path, Path], gw.Data]:
    def read(_: Path, place: Path) -> gw.Data:
        found = gw.data(load_factory(installed().registered["demos"][name].data)(place))
        if not found.splits:
            return replace(found, splits=_by_chance(list(found.labels or ()), 0.4))
        return replace(found, splits=["train" if word == "train" else "test" for word in found.splits])

    return read


def _by_chance(labels: Sequence[str], share: float) -> list[str]:
    chosen = set(sample(labels, round(len(labels) * (1 - share)), 0))
    return ["train" if place in chosen else "test" for place in range(len(labels))]


def cifar(folder: Path, place: Path) -> gw.Data:
    rows = {
        part: [(str(file), label.name) for label in sorted((folder / "cifar10_subset" / part).iterdir())
               for file in sorted(label.iterdir())]
        for part in ("train", "test")
    }  # fmt: skip
    return _table(place, "file", rows["train"], rows["test"])


def spoken(folder: Path, place: Path) -> gw.Data:
    files = sorted((folder / "spoken_digits").glob("*.wav"))
    speakers = sorted({file.stem.split("_")[1] for file in files})
    rows = {
        known: [(str(file), file.stem.split("_")[0]) for file in files
                if (file.stem.split("_")[1] not in speakers[-HELD_OUT:]) == known]
        for known in (True, False)
    }  # fmt: skip
    return _table(place, "file", rows[True], rows[False])


def reviews(folder: Path, place: Path) -> gw.Data:
    found = []
    for part in ("train", "test"):
        with (folder / "clothing_reviews" / f"{part}.csv").open(encoding="utf-8") as file:
            rows = [(row["Review Text"] or "", row["Recommended IND"]) for row in csv.DictReader(file)]
        found.append([(text, label) for text, label in rows if text.strip()])
    return _table(place, "text", *found)


def _table(place: Path, column: str, train: Rows, test: Rows) -> gw.Data:
    chosen = list(test)
    random.Random(0).shuffle(chosen)
    with (place / "t.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([column, "label", "split"])
        writer.writerows((*row, "train") for row in train)
        writer.writerows((*row, "test") for row in chosen[:TESTED])
    return gw.data(place / "t.csv", input=column, label="label", allow_outside=True)


SETS: dict[str, tuple[Callable[[Path, Path], gw.Data], int]] = {
    "digits 50": (demo("digits"), 50),
    "commands": (demo("commands"), 10_000),
    "messages": (demo("messages"), 10_000),
    "vibrations": (demo("vibrations"), 10_000),
    "CIFAR-10 100": (cifar, 100),
    "CIFAR-10 400": (cifar, 400),
    "spoken digits 100": (spoken, 100),
    "spoken digits 400": (spoken, 400),
    "reviews 100": (reviews, 100),
    "reviews 400": (reviews, 400),
}


def drawn(data: gw.Data, count: int, seed: int) -> gw.Data:
    """So many training examples, and all that are tested on."""
    train, test = ([i for i, word in enumerate(data.splits or ()) if word == part] for part in ("train", "test"))
    labels = [str((data.labels or ())[place]) for place in train]
    chosen = [train[place] for place in sample(labels, count, seed)]
    return data.at(sorted([*chosen, *test]))


def fitted(data: gw.Data, seed: int, **asked) -> tuple[float, float, gw.Run]:
    """The accuracy on what is tested on, the seconds, and the run."""
    begun = time.perf_counter()
    run = gw.fit(data, seed=seed, device="cpu", **asked)
    return run.metrics["test"]["accuracy"], time.perf_counter() - begun, run


def tap(data: gw.Data, count: int, seeds: int) -> Iterator[str]:
    figures = {word: [] for word in ("last", "auto")}
    for seed in range(seeds):
        some = drawn(data, count, seed)
        for word, found in figures.items():
            found.append(fitted(some, seed, tap=word)[0])
    last, auto = (statistics.mean(found) for found in figures.values())
    yield f"{last:.3f} | {auto:.3f} | {100 * (auto - last):+.1f} | {_times(drawn(data, count, 0)):.2f}"


def _times(data: gw.Data) -> float:
    """The seconds of `--tap auto` as a multiple of those of `last`, cold, of what is trained on: the median of three."""
    train = data.at([place for place, word in enumerate(data.splits or ()) if word == "train"])
    kept, ratios = os.environ.get("GRAFTWORK_CACHE"), []
    for _ in range(3):
        seconds = []
        for word in ("last", "auto"):
            with tempfile.TemporaryDirectory() as store:
                os.environ["GRAFTWORK_CACHE"] = store
                begun = time.perf_counter()
                gw.fit(train, tap=word, device="cpu")
                seconds.append(time.perf_counter() - begun)
        ratios.append(seconds[1] / seconds[0])
    os.environ.pop("GRAFTWORK_CACHE") if kept is None else os.environ.update(GRAFTWORK_CACHE=kept)
    return statistics.median(ratios)


def rank(data: gw.Data, count: int, seeds: int) -> Iterator[str]:
    named = {word: [] for word in ("rank", "size", "LogME", "tau of rank", "tau of size", "tau of LogME")}
    for seed in range(seeds):
        some = drawn(data, count, seed)
        found = gw.rank(some, seed=seed, device="cpu")
        truth, told = {}, {word: {} for word in ("rank", "size", "LogME")}
        for one in found.candidates:
            stages = one.spec.stages
            for depth in one.depths:
                if len(depth.taps) == 1:
                    key = one.spec.name, stages[depth.taps[0]]
                    truth[key] = fitted(some, seed, backbone=key[0], tap=key[1])[0]
                    told["rank"][key] = depth.scores.value
                    told["size"][key] = one.spec.parameters + depth.taps[0]
            last = one.spec.name, stages[-1]
            told["LogME"][last] = one.looks["log_me"]
        first = found.first
        reached = fitted(some, seed, backbone=first.spec.name, tap=first.depth.name(first.spec.stages))[0]
        best = max(*truth.values(), reached)
        named["rank"].append(100 * (best - reached))
        for word in ("size", "LogME"):
            named[word].append(100 * (best - truth[max(told[word], key=told[word].__getitem__)]))
        for word, scores in told.items():
            if len(scores) > 1:
                named[f"tau of {word}"].append(weightedtau([truth[k] for k in scores], list(scores.values())).statistic)
    yield " | ".join(f"{statistics.mean(values):.2f}" if values else "-" for values in named.values())


PARTS = {
    "tap": (tap, "last | auto | points | times the seconds"),
    "rank": (rank, "regret of rank, points | of size | of LogME | tau of rank | of size | of LogME"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).resolve().parents[3] / "shared/data")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    said = parser.parse_args()
    torch.set_num_threads(said.threads)
    os.environ["GRAFTWORK_CACHE"] = tempfile.mkdtemp(prefix="choices-")
    print(f"{said.threads} threads, {_processor()}, torch {torch.__version__}, {said.seeds} seeds", flush=True)
    for part in said.parts:
        run, columns = PARTS[part]
        print(f"\n| set | {columns} |\n|{'---|' * (columns.count('|') + 2)}", flush=True)
        for name in said.sets:
            read, count = SETS[name]
            with tempfile.TemporaryDirectory() as place:
                try:
                    data = read(said.folder, Path(place))
                except (OSError, gw.GraftworkError) as error:
                    print(f"| {name} | left out: {error} |", flush=True)
                    continue
                for row in run(data, count, said.seeds):
                    print(f"| {name} | {row} |", flush=True)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


if __name__ == "__main__":
    main()
