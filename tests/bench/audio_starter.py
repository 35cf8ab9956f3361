"""The audio starter in figures: linear probes beside the same with random weights, log-mel and its teacher; how fast it
extracts; and what a pretrained start is worth to a fit of each modality (curves.py). "Network alone" is the mean of its
last states, without their deviation and the spectrum beside them.

A probe is the head that `graftwork fit` solves, on features after the last stage (for log-mel: mean and deviation of 40
bands), each standardised by the training part. Its strength is chosen on a validation part of the training groups (a
fifth of them, one at the least), then it is solved again on all of these. A group is never on both sides:

- digits: spoken digits, grouped by speaker and tested on each of the 15 choices of two speakers;
- speakers: who says them, tested on each fifth of the clips; speakers, other words: on two digits never trained on;
- commands: the demo's, tested on two voices never trained on, five times so that each is tested once;
- noises: eight kinds of sounds.py, tested on each fifth of them.

A seed draws the random weights, which groups validate, and but for the digits, whose choices are fixed, which groups are
tested together; all sides meet the same parts. So the first deviation, over the seeds, is that of a mean over all
choices; the second is that over the choices of a seed.

usage: audio_starter.py [--starter NAME] [--seeds 5] [--only digits|others|speed|curves ...] [--out build/audio_starter]
                        [--threads 2]    (1 where others compute on the machine: two would wait for each other)
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graftwork import Data, GraftworkError, load_backbone
from graftwork import data as read
from graftwork.data.pipeline import Pipeline
from graftwork.features.dataset import FeatureDataset
from graftwork.features.examples import Examples
from graftwork.features.extraction import Extractor, Features
from graftwork.models.backbone import Backbone
from graftwork.plugins import registry
from graftwork.specs.backbone import BackboneSpec
from graftwork.specs.factories import load_factory
from graftwork.tasks.losses import Softmax
from graftwork.training import solver

BENCH = Path(__file__).resolve().parent
sys.path.insert(0, str(BENCH))

DIGITS = BENCH.parents[2] / "shared" / "data" / "spoken_digits"
OUT = BENCH.parents[1] / "build" / "audio_starter"
SECTIONS = ("digits", "others", "speed", "curves")
TEACHER = "audio/moonshine-tiny"
ENOUGH, FAST = 0.85, 30.0

solver.SMALL = 0  # to the tolerance of larger sets, a third of the time for the same accuracy within .01

Draw = Callable[[Sequence[str], random.Random], list[set[str]]]
Sides = dict[str, Callable[[int], Tensor]]
"""Features `(N, D)` by the name of what makes them; asked with the seed."""


def fifths(names: Sequence[str], rng: random.Random) -> list[set[str]]:
    shuffled = rng.sample(names, len(names))
    return [set(shuffled[place::5]) for place in range(5)]


def pairs(names: Sequence[str], rng: random.Random) -> list[set[str]]:
    return [set(pair) for pair in itertools.combinations(names, 2)]


@dataclass(frozen=True)
class Task:
    """What is to be told of each clip; draw: the groups that are tested, in turn."""

    name: str
    labels: list[str]
    groups: list[str]
    draw: Draw = fifths

    def accuracies(self, features: Tensor, seed: int) -> list[float]:
        """Of a probe on features `(N, D)`, for each choice of groups to test on."""
        rng = random.Random(f"{self.name} {seed}")
        names = sorted(set(self.groups))
        parts = []
        for tested in self.draw(names, rng):
            rest = [name for name in names if name not in tested]
            parts.append((tested, set(rng.sample(rest, max(1, round(len(rest) / 5))))))
        count = torch.get_num_threads()
        with threads(1), ThreadPoolExecutor(count) as pool:  # one head is too small for two threads to share
            return list(pool.map(lambda part: self.accuracy(features, *part), parts))

    def those(self, groups: set[str]) -> Tensor:
        return torch.tensor([group in groups for group in self.groups])

    def accuracy(self, features: Tensor, test_groups: set[str], held_groups: set[str]) -> float:
        names, tested, held = sorted(set(self.labels)), self.those(test_groups), self.those(held_groups)
        y = torch.tensor([names.index(label) for label in self.labels])
        known = features[~tested]
        x = (features - known.mean(0)) / known.std(0).clamp(min=1e-6)
        train = ~tested & ~held
        chosen = solver.choose(
            FeatureDataset(x[train], y[train]), FeatureDataset(x[held], y[held]), len(names), Softmax()
        )
        head = solver.solve(FeatureDataset(x[~tested], y[~tested]), len(names), chosen.l2, Softmax(), near=chosen)
        return float((head.logits(x[tested]).argmax(1) == y[tested]).double().mean())


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# Features.


def extract(backbone: Backbone, data: Data, precision: str = "fp32") -> Features:
    spec = backbone.spec
    pipeline = Pipeline(spec.contract, registry.agree_on(spec, data.observed), data.modality)
    examples = Examples(backbone, pipeline, data.raws, long=data.modality.long)
    found = Extractor(backbone, tap=spec.tap("last"), precision=precision)(examples)
    assert not found.bad, found.bad[0]
    return found


def log_mel(data: Data) -> Tensor:
    from graftwork_audio.demos import log_mel as summed_up

    reader = load_factory(data.modality.reader)()
    with threads(1):
        return torch.from_numpy(summed_up([reader.decode(raw) for raw in data.raws]))


def sides(starter: BackboneSpec, data: Data) -> Sides:
    """Every side of the comparison; the teacher where its weights are at hand. What a seed does not change is computed
    once."""

    @cache
    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return extract(load_backbone(starter, pretrained=False), data).values

    def fixed(features: Tensor) -> Callable[[int], Tensor]:
        return lambda seed: features

    theirs = extract(load_backbone(starter), data).values
    found = {"starter": fixed(theirs), "random weights": drawn, "log-mel": fixed(log_mel(data))}
    alone = int(starter.config["hidden_size"])  # the mean of the states comes first, then what is beside them
    if alone < theirs.shape[1]:
        found["network alone"] = fixed(theirs[:, :alone])
        found["network alone, random weights"] = lambda seed: drawn(seed)[:, :alone]
    if any(spec.name == TEACHER for spec in registry.backbones("audio")):
        found["teacher"] = fixed(extract(load_backbone(registry.backbone(TEACHER)), data).values)
    return found


# Probes.


def probe(tasks: Sequence[Task], by: Sides, seeds: int) -> dict[str, Any]:
    """Every task by every side, printed and returned: accuracies by task, side, seed and choice."""
    scores: dict[str, dict[str, list[list[float]]]] = {task.name: {side: [] for side in by} for task in tasks}
    for seed in range(seeds):
        for side, features in by.items():
            values = features(seed)
            for task in tasks:
                scores[task.name][side].append(task.accuracies(values, seed))
    for task in tasks:
        for side, found in scores[task.name].items():
            means = [statistics.mean(one) for one in found]
            within = statistics.mean(deviation(one) for one in found)
            print(
                f"| {task.name} | {side} | {statistics.mean(means):.3f} | {deviation(means):.3f} | {within:.3f} |",
                flush=True,
            )
    return scores


def deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def against(scores: dict[str, Any], task: str, other: str) -> None:
    """Print how far the starter is above another side, seed by seed."""
    both = (scores[task]["starter"], scores[task][other])
    gains = [statistics.mean(one) - statistics.mean(two) for one, two in zip(*both, strict=True)]
    mean, error = statistics.mean(gains), deviation(gains) / len(gains) ** 0.5
    word = "not below" if mean >= 0 else "BELOW"
    print(f"{task}: the starter is {word} {other}, {mean:+.3f} (standard error {error:.3f})", flush=True)


def head() -> None:
    print("| task | features | accuracy | deviation over seeds | over choices |\n|---|---|---|---|---|", flush=True)


def digits(starter: BackboneSpec, seeds: int) -> dict[str, Any]:
    """The spoken digits, what is said and who says it."""
    if not DIGITS.is_dir():
        print(f"Digits and speakers are skipped: '{DIGITS}' is not there.", flush=True)
        return {}
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "digits.jsonl"
        files = sorted(DIGITS.glob("*.wav"))
        table.write_text("".join(json.dumps({"file": str(f), "label": f.name[0]}) + "\n" for f in files))
        data = read(table, allow_outside=True)
        said, who, _ = (list(part) for part in zip(*(file.stem.split("_") for file in files), strict=True))
        assert data.labels == said, "some clips cannot be read"
        tasks = [
            Task("digits", said, who, pairs),
            Task("speakers", who, [file.stem for file in files]),
            Task("speakers, other words", who, said),
        ]
        head()
        scores = probe(tasks, sides(starter, data), seeds)
    reached = statistics.mean(statistics.mean(one) for one in scores["digits"]["starter"])
    print(f"digits: the starter has {reached:.3f}, and at least {ENOUGH} is wanted: {met(reached >= ENOUGH)}")
    for task in scores:
        for other in ("log-mel", "teacher") if task == "digits" else ("log-mel",):
            if other in scores[task]:
                against(scores, task, other)
    return scores


def others(starter: BackboneSpec, seeds: int) -> dict[str, Any]:
    """The demo's commands and the noises."""
    import sounds

    from graftwork_audio.demos import commands

    scores: dict[str, Any] = {}
    head()
    with tempfile.TemporaryDirectory() as folder:
        places = {"commands": commands(Path(folder)), "noises": sounds.write(Path(folder) / "noises")}
        for name, place in places.items():
            data = read(place)
            assert data.labels is not None
            names = [raw.path.stem for raw in data.raws if raw.path is not None]
            if name == "commands":  # WORD-VOICE-SPEED
                groups = [stem.partition("-")[2].rpartition("-")[0] for stem in names]
            else:
                groups = [f"{label} {stem}" for label, stem in zip(data.labels, names, strict=True)]
            scores |= probe([Task(name, list(data.labels), groups)], sides(starter, data), seeds)
    for name in scores:
        against(scores, name, "log-mel")
    return scores


def met(fulfilled: bool) -> str:
    return "met" if fulfilled else "NOT MET"


# Speed.


def speed(starter: BackboneSpec, seeds: int) -> dict[str, Any]:
    """1 000 clips of 1 s from their files to features, the encoder being loaded: median of three."""
    import soundfile

    rng, backbone, seconds, precision = np.random.default_rng(0), load_backbone(starter), [], ""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1_000):
            file = Path(folder) / "ab"[number % 2] / f"{number}.wav"
            file.parent.mkdir(exist_ok=True)
            soundfile.write(file, 0.1 * rng.standard_normal(16_000).clip(-5, 5), 16_000)
        data = read(folder)
        for _ in range(3):
            begun = time.perf_counter()
            precision = extract(backbone, data, "auto").precision
            seconds.append(time.perf_counter() - begun)
    median = statistics.median(seconds)
    print(
        f"1 000 clips of 1 s: median {median:.1f} s of {[round(s, 1) for s in seconds]} ({precision}, "
        f"{torch.get_num_threads()} threads), "
        f"and less than {FAST:.0f} s is wanted: {met(median < FAST)}"
    )
    return {"seconds": seconds, "precision": precision, "threads": torch.get_num_threads()}


def main() -> None:
    import curves
    import moonshine

    parser = argparse.ArgumentParser()
    parser.add_argument("--starter", default="audio/wav2vec2-tiny")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    try:
        starter = registry.backbone(asked.starter)
        starter.weights.obtain(starter.name)
    except GraftworkError as error:
        print(f"Skipped: {error}")
        return
    if not moonshine.here():
        print(f"The teacher is skipped: '{moonshine.FOLDER}' is not there.")
    asked.out.mkdir(parents=True, exist_ok=True)
    print(f"{starter.name}: {starter.parameters:,} parameters; {asked.seeds} seeds", flush=True)

    def drawn(starter: BackboneSpec, seeds: int) -> dict[str, Any]:
        return curves.measure(starter, seeds, asked.out)

    run = dict(zip(SECTIONS, (digits, others, speed, drawn), strict=True))
    for section in asked.only:
        begun = time.perf_counter()
        found = run[section](starter, asked.seeds)
        (asked.out / f"{section}.json").write_text(json.dumps({"starter": starter.name, section: found}, indent=1))
        print(f"({section}: {time.perf_counter() - begun:.0f} s)\n", flush=True)
    print(f"Data: {asked.out}")


if __name__ == "__main__":
    main()
