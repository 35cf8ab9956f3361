"""The tour across modalities: each demo with weights at hand is fitted and set beside a baseline without an encoder."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from graftwork.data.reading import Data
from graftwork.data.reading import data as read_data
from graftwork.data.splits import labelled, split
from graftwork.errors import GraftworkError, InputMismatch, UnknownName, UsageError, WeightsUnavailable
from graftwork.features.dataset import FeatureDataset
from graftwork.plugins import registry
from graftwork.plugins.loading import installed
from graftwork.reports.sentences import stages
from graftwork.runs.fitting import fit
from graftwork.specs.demo import Demo
from graftwork.specs.factories import load_factory
from graftwork.specs.task import DEFAULT_TASK
from graftwork.tasks.answer_folder import new_folder
from graftwork.tasks.task import Metric, load_task
from graftwork.training import solver
from graftwork.training.trainer import convex_loss

SEED = 0
HELD = 0.2

BUDGET = 10.0
"""Seconds of a demo for what `--best` measures besides the stages."""

CLOSE = 0.005
"""Of a metric that is no difference."""


def run(name: str = "", folder: str | Path | None = None, watch: Callable[[Any], None] | None = None) -> dict[str, Any]:
    """Fit every demo with one answer per example, or the one of this name. Returns `{demos: [...], refused}`; a demo
    without weights says why it was skipped.

    folder: where the data of a named demo are written, a new folder; None for one that goes with the tour.
    watch: of the fit of a named one, see `graftwork.fit`.

    Raises `UnknownName` when no installed plugin brings a demo, or one of this name, `UsageError` for a folder that is
    there, or that is given without a name.
    """
    if name:
        return _one(registry.demo(name), folder, watch)
    if folder is not None:
        raise UsageError(
            "--data keeps the data of one demo, and none is named.", "Name it: graftwork demo NAME --data DIR"
        )
    demos = sorted(installed().registered["demos"].values(), key=lambda demo: demo.name)
    demos = [demo for demo in demos if demo.task == DEFAULT_TASK]
    if not demos:
        raise UnknownName(
            f"No installed plugin brings a demo{installed().disabled()}.",
            "Install one: pip install 'graftwork-text[starter]'",
        )
    rows, read = [], {}
    with tempfile.TemporaryDirectory(prefix="graftwork-demo-") as folder:
        for demo in demos:
            place = Path(folder) / demo.name
            place.mkdir()
            read[demo.name] = read_data(load_factory(demo.data)(place))
            rows.append(_tour(demo, read[demo.name]))
        return {"demos": rows, "refused": _refusal(demos, read)}


def _one(demo: Demo, folder: str | Path | None, watch: Callable[[Any], None] | None) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        if folder is None:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="graftwork-demo-")))
            source = load_factory(demo.data)(place)
        else:
            with new_folder(Path(folder)) as place:
                written = _inside(Path(load_factory(demo.data)(place)), place)
            source = Path(folder) / written  # it is there before the fit, which takes longer
        row = _tour(demo, read_data(source, task=demo.task), watch)
    return {"demos": [{**row, "task": demo.task, "data": None if folder is None else str(source)}], "refused": None}


def _inside(source: Path, folder: Path) -> Path:
    """The path in `folder` of data; what comes with a package, and lies elsewhere, is copied there."""
    if source.is_relative_to(folder):
        return source.relative_to(folder)
    if source.is_dir():
        shutil.copytree(source, folder, dirs_exist_ok=True)
        return Path()
    return Path(shutil.copy(source, folder)).relative_to(folder)


def _tour(demo: Demo, data: Data, watch: Callable[[Any], None] | None = None) -> dict[str, Any]:
    row = {"name": demo.name, "modality": demo.modality, "n": len(data)}
    try:
        spec = registry.starter(demo.modality)
    except WeightsUnavailable as error:
        return {**row, "skipped": str(error)}
    begun = time.perf_counter()
    chosen = {"backbone": "auto", "tap": "auto", "freeze": "auto", "budget": BUDGET}
    asked = chosen if demo.task == DEFAULT_TASK else {"backbone": spec.name}
    try:
        fitted = fit(data, task=demo.task, seed=SEED, val=HELD, watch=watch, **asked, **demo.settings)
    except GraftworkError as error:
        return {**row, "backbone": spec.name, "skipped": str(error)}
    seconds = time.perf_counter() - begun
    metric, record = fitted.task.primary, fitted.record
    row |= {
        "backbone": record["backbone"],
        "tap": record["tap"],
        "freeze": record["freeze"],
        "metric": metric.name,
        "higher_is_better": metric.higher_is_better,
        metric.name: fitted.metrics[metric.name],
        "baseline": baseline(demo, data) if demo.baseline else fitted.metrics[demo.baseline_name],
        "baseline_name": demo.baseline_name,
        "seconds": round(seconds, 2),
        "n_val": record["n_val"],
        "depths": record["depths"],
        "tried": record["tried"],
    }
    return {**row, "sentence": _sentence(row, data, metric)}


def verdict(row: Mapping[str, Any]) -> str:
    """Whether the encoder helped, against the baseline of a demo."""
    gain = (row[row["metric"]] - row["baseline"]) * (1 if row.get("higher_is_better", True) else -1)
    return "transfer helped" if gain > CLOSE else "transfer did not help" if gain < -CLOSE else "no difference"


def _sentence(row: Mapping[str, Any], data: Data, metric: Metric) -> str:
    """A demo from its data to its end, in plain words."""
    last = not row["depths"] or row["depths"][-1]["chosen"]
    read = "" if last else f", read after {stages(row['tap'])}"
    trained = "with a head on it" if row["freeze"] == "head" else f"trained ({row['freeze']})"
    return (
        f"{row['name']}: {row['n']} {data.observed.items}, of which {row['n_val']} were held out. {row['backbone']}"
        f"{read}, {trained}: {metric.words} {row[metric.name]:.3f}. {row['baseline_name'].capitalize()}: "
        f"{row['baseline']:.3f}. So {verdict(row)}."
    )


def baseline(demo: Demo, data: Data, seed: int = SEED) -> float:
    """The primary metric of the same head on features of the raw input, on the same held-out part."""
    task = load_task(DEFAULT_TASK)
    reader = load_factory(data.modality.reader)()
    features = torch.from_numpy(load_factory(demo.baseline)([reader.decode(raw) for raw in data.raws])).float()
    known = task.encode(labelled(data.labels))
    held = torch.tensor([word == "validation" for word in split(known.strata, data.splits, HELD, seed)])
    train, validation = (FeatureDataset(features[rows], known.values[rows]) for rows in (~held, held))
    solution = solver.choose(train, validation, task.outputs(known), convex_loss(task, known, train))
    return task.metrics(solution.logits(validation.features), validation.targets, known)[task.primary.name]


def _refusal(demos: list[Demo], read: dict[str, Data]) -> dict[str, str] | None:
    """One demo's data given to a backbone of another modality, and what is said to that."""
    for demo in demos:
        for spec in registry.backbones():
            if spec.modality != demo.modality:
                try:
                    registry.agree_on(spec, read[demo.name].observed)
                except InputMismatch as error:
                    return {"data": demo.name, "backbone": spec.name, "message": str(error)}
    return None
