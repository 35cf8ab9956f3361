"""What a pretrained start is worth: accuracy after each epoch when all of a network trains, from pretrained weights and
from random ones, on the same examples; one task per modality. Run by audio_starter.py.

- messages (text/minilm): the demo's 400, half of them to train on;
- photographs (image/efficientnet-lite0): CIFAR-10, 24 a class to train on and 20 to judge by; both starts read them at
  96 pixels instead of 224, which spares four fifths of the time and loses nothing of 32;
- digits (the audio starter): four speakers with 6 clips a digit, judged by 10 a digit of each of two others.

A seed draws the examples, the random weights and the fit's own chance. start: the accuracy after the first epoch; slope:
accuracy gained an epoch, by least squares over the first three and epoch 0, which is guessing; end: after the last.
Rates were tried on seed 0: for random weights 1, 3 and 10 times the recipe's, for pretrained ones the recipe's
(photographs: 3 times it too; digits: a tenth, a third and 3 times it too), and each start has the best of its own.
"""

from __future__ import annotations

import html
import json
import random
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import policies
import torch

import graftwork as gw
from graftwork import API_VERSION, BackboneSpec, hookimpl, load_backbone
from graftwork.plugins import loading, registry

SIDE = 96
PHOTOS = policies.DATA / "cifar10_subset"
STARTS = {"pretrained": "#1f6fb2", "random": "#d0661e"}
FIRST = 3
"""The epochs that a slope is taken over, besides epoch 0."""


def photos(rng: random.Random) -> Iterator[tuple[str, str, str]]:
    for part, count in (("train", 24), ("test", 20)):
        for folder in sorted((PHOTOS / part).iterdir()):
            for file in rng.sample(sorted(folder.iterdir()), count):
                yield str(file), folder.name, part


def clips(rng: random.Random) -> Iterator[tuple[str, str, str]]:
    rows = list(policies.clips(rng))
    return (row for place, row in enumerate(rows) if row[2] == "train" or place % 2)


@dataclass(frozen=True)
class Task:
    """rows: a seed's inputs with their labels and parts. needs: what must be there. rates: of each start."""

    name: str
    title: str
    column: str
    rows: Callable[[random.Random], Iterator[tuple[str, str, str]]]
    needs: Path
    classes: int
    epochs: int
    rates: dict[str, float]


TASKS = {
    "text": Task(
        "messages", "200 messages, 8 intents", "text", policies.texts, policies.MESSAGES, 8, 6,
        {"pretrained": 5e-5, "random": 1.5e-4},
    ),
    "image": Task(
        "photographs", "240 photographs, 10 classes", "file", photos, PHOTOS, 10, 4,
        {"pretrained": 1e-4, "random": 1e-4},
    ),
    "audio": Task(
        "digits", "240 spoken digits, new speakers", "file", clips, policies.DATA / "spoken_digits", 10, 6,
        {"pretrained": 3e-4, "random": 3e-3},
    ),
}  # fmt: skip

PRETRAINED: dict[str, BackboneSpec] = {}
"""By modality: what the networks with random weights are made like."""


class Starts:
    """A plugin: each pretrained network and the same one with random weights, as `MODALITY/curve-START`."""

    api_version = API_VERSION

    @hookimpl
    def graftwork_backbones(self) -> Iterator[BackboneSpec]:
        for modality, spec in PRETRAINED.items():
            yield replace(spec, name=f"{modality}/curve-pretrained", starter=False)
            random = replace(spec, name=f"{modality}/curve-random", starter=False)
            yield replace(random, factory=f"{__name__}:from_nothing")


def from_nothing(spec: BackboneSpec, weights: Path | None) -> gw.Backbone:
    """The network with random weights, and whatever else comes from the folder of its weights (a tokenizer).

    The statistics of batch norms are taken from a batch of noise: with none, the values of a network that is judged
    before it trained vanish, and a head that was fitted to these diverges in the first steps.
    """
    pretrained = PRETRAINED[spec.modality]
    model = load_backbone(pretrained)
    model.load_state_dict(load_backbone(pretrained, pretrained=False).state_dict())
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    if norms:
        usual = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 1.0
        with torch.no_grad():
            model.train()(gw.State(torch.randn(32, 3, SIDE, SIDE)))
        for norm, momentum in zip(norms, usual, strict=True):
            norm.momentum = momentum
    return model.eval()


def smaller(spec: BackboneSpec) -> BackboneSpec:
    contract = spec.contract
    return replace(spec, contract=replace(contract, preparation={**contract.preparation, "resize": SIDE, "crop": SIDE}))


def measure(starter: BackboneSpec, seeds: int, out: Path) -> dict[str, Any]:
    """Fit every task from both starts, print the figures, draw the curves into `out/curves.svg`; returns the data."""
    specs = {"text": "text/minilm", "image": "image/efficientnet-lite0"}
    for modality, task in TASKS.items():
        if not task.needs.exists():
            print(f"The curve of {task.name} is skipped: '{task.needs}' is not there.", flush=True)
            continue
        spec = starter if modality == "audio" else registry.backbone(specs[modality])
        PRETRAINED[modality] = smaller(spec) if modality == "image" else spec
    report = loading.PluginReport("curves", "bench", "0")
    loading.installed().load(Starts(), report)
    assert not report.errors, report.errors
    print("| task | from | start | slope | end |\n|---|---|---|---|---|")
    found: dict[str, Any] = {}
    for modality in PRETRAINED:
        task = TASKS[modality]
        curves = {start: [curve(modality, start, seed) for seed in range(seeds)] for start in STARTS}
        found[task.name] = {"backbone": PRETRAINED[modality].name, "guessing": 1 / task.classes, "rates": task.rates}
        for start, runs in curves.items():
            each = [figures(run, 1 / task.classes) for run in runs]
            told = {
                word: [function([one[word] for one in each]) for function in (statistics.mean, deviation)]
                for word in ("start", "slope", "end")
            }
            found[task.name][start] = {"accuracy by seed and epoch": runs, **told}
            shown = " | ".join(f"{mean:.3f} ± {spread:.3f}" for mean, spread in told.values())
            print(f"| {task.name} | {start} | {shown} |", flush=True)
    (out / "curves.svg").write_text(draw(found), encoding="utf-8")
    print(f"Drawn: {out / 'curves.svg'}")
    return found


def curve(modality: str, start: str, seed: int) -> list[float]:
    """Accuracy after each epoch."""
    task = TASKS[modality]
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "rows.jsonl"
        rows = task.rows(random.Random(f"{modality} {seed}"))
        parts = {"train": "train", "test": "validation"}
        table.write_text(
            "".join(json.dumps({task.column: a, "label": b, "split": parts[c]}) + "\n" for a, b, c in rows)
        )
        run = gw.fit(
            gw.data(table, allow_outside=True),  # photographs and clips stay where they are
            f"{modality}/curve-{start}",
            freeze="all",
            seed=seed,
            epochs=task.epochs,
            lr=task.rates[start],
            batch_size=16,
            patience=0,
            precision="fp32",
            device="cpu",
            cache=False,
        )
    return [row["accuracy"] for row in run.record["training"]["history"]]


def figures(accuracies: Sequence[float], guessing: float) -> dict[str, float]:
    first = [guessing, *accuracies[:FIRST]]
    slope = statistics.linear_regression(range(len(first)), first).slope
    return {"start": accuracies[0], "slope": slope, "end": accuracies[-1]}


def deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


# Drawing.

WIDTH, HEIGHT, LEFT, TOP, GAP = 250, 210, 62, 62, 40


def draw(found: dict[str, Any]) -> str:
    """A panel for each task: the mean over the seeds, one deviation about it, and guessing."""
    titles = {task.name: task.title for task in TASKS.values()}
    width = LEFT + len(found) * (WIDTH + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + HEIGHT + 58}" width="{width}" '
        f'height="{TOP + HEIGHT + 58}" font-family="Helvetica, Arial, sans-serif" font-size="13" fill="#222">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for place, (start, colour) in enumerate(STARTS.items()):
        x = LEFT + place * 170
        parts += [
            f'<path d="M{x} 18h26" stroke="{colour}" stroke-width="2.5"/>',
            words(x + 33, 22, f"{start} start", anchor="start"),
        ]
    parts += [
        f'<path d="M{LEFT + 320} 18h26" stroke="#888" stroke-dasharray="4 4"/>',
        words(LEFT + 353, 22, "guessing", anchor="start"),
        words(width - GAP, 22, "shaded: one deviation over the seeds", anchor="end"),
        words(18, TOP + HEIGHT / 2, "accuracy", turn=True),
    ]
    for place, (name, task) in enumerate(found.items()):
        parts += panel(LEFT + place * (WIDTH + GAP), titles[name], task, numbered=not place)
    return "\n".join([*parts, "</svg>\n"])


def panel(left: float, title: str, task: dict[str, Any], numbered: bool) -> list[str]:
    runs = {start: task[start]["accuracy by seed and epoch"] for start in STARTS}
    epochs = len(runs["random"][0])

    def at(epoch: float, accuracy: float) -> str:
        return f"{left + WIDTH * (epoch - 0.5) / epochs:.1f} {TOP + HEIGHT * (1 - min(max(accuracy, 0), 1)):.1f}"

    parts = [words(left + WIDTH / 2, TOP - 12, title, bold=True)]
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        y = TOP + HEIGHT * (1 - tick)
        parts.append(f'<path d="M{left} {y:.1f}h{WIDTH}" stroke="#e4e4e4"/>')
        if numbered:
            parts.append(words(left - 8, y + 4, f"{tick:.1f}", anchor="end"))
    parts.append(f'<path d="M{left} {TOP}v{HEIGHT}h{WIDTH}" stroke="#222" fill="none"/>')
    for epoch in range(1, epochs + 1):
        x, y = at(epoch, 0).split()
        parts += [f'<path d="M{x} {y}v4" stroke="#222"/>', words(float(x), float(y) + 18, str(epoch))]
    parts.append(words(left + WIDTH / 2, TOP + HEIGHT + 42, "epoch"))
    guessing = TOP + HEIGHT * (1 - task["guessing"])
    parts.append(f'<path d="M{left} {guessing:.1f}h{WIDTH}" stroke="#888" stroke-dasharray="4 4"/>')
    for start, colour in STARTS.items():
        columns = list(zip(*runs[start], strict=True))
        means, spreads = [statistics.mean(column) for column in columns], [deviation(column) for column in columns]
        upper = [at(i, m + s) for i, (m, s) in enumerate(zip(means, spreads, strict=True), 1)]
        lower = [at(i, m - s) for i, (m, s) in enumerate(zip(means, spreads, strict=True), 1)]
        points = [at(i, mean) for i, mean in enumerate(means, 1)]
        parts += [
            f'<path d="M{" L".join(upper + lower[::-1])}Z" fill="{colour}" fill-opacity="0.15"/>',
            f'<path d="M{" L".join(points)}" stroke="{colour}" stroke-width="2.5" fill="none"/>',
        ]
        for x, y in (point.split() for point in points):
            parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>')
    return parts


def words(x: float, y: float, text: str, anchor: str = "middle", bold: bool = False, turn: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    turned = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turn else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}{turned}>{html.escape(text)}</text>'
