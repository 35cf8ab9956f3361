"""`fit`: from labelled data and the name of an encoder to a trained, judged and certified run."""

from __future__ import annotations

import math
import platform
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graftwork import freeze as freezing
from graftwork import registry
from graftwork.backbone import load_backbone
from graftwork.errors import DataError, GraftworkError
from graftwork.extraction import Features, Pipeline, check_options, extract
from graftwork.metrics import classification
from graftwork.reading import MOST_BAD, Data, allow_bad
from graftwork.reading import data as read_data
from graftwork.runs import FORMAT, Run, check_free
from graftwork.splits import stratified
from graftwork.trainer import Part, Trained, engine_for


def fit(
    data: Any,
    backbone: str | None = None,
    *,
    task: str = "classify",
    freeze: str = "head",
    tap: str = "last",
    val: float = 0.2,
    seed: int = 0,
    refit: bool = True,
    on_bad: str = "skip",
    precision: str = "auto",
    device: str = "auto",
    long: str | None = None,
    adapter: str = "",
    out: str | Path | None = None,
) -> Run:
    """Train on labelled data and return the run (written to `out` when given).

    data: what `graftwork.data` returns or takes. backbone: a name; None takes the modality's starter.
    freeze: which stages train. tap: the stage whose pooled features the head reads. val: the part held out, unless
    the data bring a validation split; it chooses the head's strength and gives the metrics, and then the head is
    solved again on all the data but a test split (refit=False keeps it apart).
    precision: "auto", "fp32" or "bf16" for extraction. long: "truncate" or "windows" for examples that are longer than
    the encoder reads at once; None leaves it to the modality. adapter: the name of one that makes examples of the
    encoder's modality out of the data's (`audio:image-logmel`).

    Raises `InputMismatch` before any weights are looked for, `WeightsUnavailable`, `DataError`,
    `UnknownName`, `UsageError`.
    """
    clock = Clock()
    data = data if isinstance(data, Data) else read_data(data)
    spec = registry.backbone(backbone) if backbone else registry.starter(data.modality.name, adapter)
    agreement = registry.agree_on(spec, data.observed, adapter, may_leave_out=MOST_BAD if on_bad == "skip" else 0.0)
    if out is not None:
        check_free(out)
    total = len(data) + len(data.bad)
    allow_bad(data.bad, total, on_bad, agreement)
    mode = long or data.modality.long
    check_options(precision, mode)
    warnings = [*data.notes, *agreement.warnings, *_check_labels(data)]
    task_spec = registry.task(task)
    head_spec = registry.head(task_spec.heads[0])
    plan = freezing.parse(freeze).plan(spec.stages, epoch=0)
    engine = engine_for(plan, head_spec, freeze)
    _seed(seed)
    splits = split(data, val, seed)

    with clock("load"):
        model = load_backbone(spec)
        place = resolve_device(device)
        tapped = model.tap(tap)
        before = freezing.stage_digests(model)
        freezing.apply(plan, model)
    with clock("extract"):
        pipeline = Pipeline(spec.contract, agreement, data.modality)
        found = extract(
            model,
            pipeline,
            data.raws,
            tap=tapped,
            size=pipeline.reader.size,
            precision=precision,
            device=place,
            long=mode,
        )
        left_out = [*data.bad, *(bad for _, bad in found.bad)]
        warnings = [*allow_bad(left_out, total, on_bad), *warnings]
        warnings += found.long.warnings(len(data), data.observed.items)
    labels, parts = _parts(data, found, splits)
    with clock("train"):
        trained = engine.train(parts["train"], parts["validation"], len(labels))
        metrics: dict[str, Any] = judge(trained, parts["validation"])
        final = engine.refit(trained, parts["train"] + parts["validation"], len(labels)) if refit else trained
        if len(parts["test"]):
            metrics["test"] = judge(final, parts["test"])
    certificate = freezing.certificate(plan, before, freezing.stage_digests(model))
    if not certificate["ok"]:
        raise GraftworkError(
            f"The frozen stages {', '.join(certificate['moved'])} changed during the run.",
            "This is a fault of the plugin; report it.",
        )

    record = {
        "format": FORMAT,
        "task": task,
        "backbone": spec.name,
        "modality": data.modality.name,
        "tap": spec.stages[tapped],
        "freeze": freeze,
        "head": head_spec.name,
        "engine": engine.name,
        "seed": seed,
        "labels": labels,
        "data": {
            "name": data.name,
            "observed": data.observed.as_json(),
            "left_out": [vars(b) for b in left_out],
        },
        "contract": model.spec.contract.as_json(),
        "adapter": adapter,
        "long": vars(found.long),
        "agreement": agreement.as_json(),
        "warnings": warnings,
        "metrics": metrics,
        "n_train": len(parts["train"]),
        "n_val": len(parts["validation"]),
        "n_test": len(parts["test"]),
        "refit": refit,
        "head_choice": final.details,
        "precision": {"used": found.precision, "asked": precision, "cosine": found.cosine},
        "weights_digest": freezing.weights_digest(before),
        "certificate": certificate,
        "cache": {"hits": 0, "misses": len(found.kept)},
        "timings": clock.seconds(),
        "versions": versions(),
    }
    run = Run(record, final.head, model)
    if out is not None:
        run.save(out)
    return run


def split(data: Data, val: float, seed: int) -> list[str]:
    """For each example "train", "validation" or "test": as the data bring it, else held out stratified by label."""
    assert data.labels is not None
    splits = list(data.splits or ["train"] * len(data))
    if "train" not in splits:
        raise DataError(
            f"The data bring the splits {', '.join(sorted(set(splits)))}, and none to train on.",
            "Name one of them train.",
        )
    if "validation" not in splits:
        training = [i for i, word in enumerate(splits) if word == "train"]
        held = stratified([data.labels[i] for i in training], val, seed)
        for index, out in zip(training, held, strict=True):
            if out:
                splits[index] = "validation"
    return splits


def judge(trained: Trained, part: Part) -> dict[str, Any]:
    with torch.inference_mode():
        probabilities = trained.head.decode(trained.head(part.features)).numpy()
    return classification(probabilities, part.targets.numpy())


def _check_labels(data: Data) -> list[str]:
    if data.labels is None:
        raise DataError(
            "The data have no labels, so there is nothing to learn.",
            "Put the examples in one folder per label, or name a column: --label COLUMN",
        )
    counts = Counter(data.labels)
    if len(counts) == 1:
        raise DataError(
            f"All {len(data)} examples have the label '{next(iter(counts))}'; two labels or more are accepted.",
            "Add examples of another label.",
        )
    single = sorted(label for label, count in counts.items() if count == 1)
    if not single:
        return []
    words = ", ".join(f"'{label}'" for label in single[:5]) + (" and others" if len(single) > 5 else "")
    return [f"Seen once only, so trained on but never checked: the label{'s' * (len(single) > 1)} {words}."]


def _parts(data: Data, found: Features, splits: Sequence[str]) -> tuple[list[str], dict[str, Part]]:
    assert data.labels is not None
    labels = sort_labels({data.labels[i] for i in found.kept if splits[i] != "test"})
    number = {label: k for k, label in enumerate(labels)}
    unseen = sorted({data.labels[i] for i in found.kept} - set(labels))
    if unseen:
        raise DataError(
            f"The test split has the label '{unseen[0]}', which no training example has.",
            "Add training examples, or drop it.",
        )
    targets = torch.tensor([number[data.labels[i]] for i in found.kept])
    parts = {}
    for name in ("train", "validation", "test"):
        rows = torch.tensor([row for row, i in enumerate(found.kept) if splits[i] == name], dtype=torch.long)
        parts[name] = Part(found.values[rows], targets[rows])
    if not len(parts["train"]) or not len(parts["validation"]):
        raise DataError("No readable example is left to train on or to check with.", "Mend the data, or add examples.")
    return labels, parts


def sort_labels(labels: Iterable[str]) -> list[str]:
    """By value where all are finite numbers, else by letters; like values by letters too, so that the order is one."""
    try:
        values = {label: float(label) for label in labels}
    except ValueError:
        return sorted(labels)
    if not all(math.isfinite(value) for value in values.values()):
        return sorted(labels)
    return sorted(labels, key=lambda label: (values[label], label))


def resolve_device(word: str) -> torch.device:
    """The device that "auto", "cpu", "cuda" or "mps" means here. Raises `GraftworkError` for one that is not there."""
    if word == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(word)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise GraftworkError(f"There is no device '{word}' on this machine.", "Write: --device auto") from error
    return device


def versions() -> dict[str, str]:
    """What computed the run, so that a difference elsewhere can be explained."""
    found = {"python": platform.python_version()}
    for name in ("graftwork", "torch", "torchvision", "torchaudio", "transformers", "numpy", "scipy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    found["threads"] = str(torch.get_num_threads())
    return found


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


class Clock:
    """Seconds spent in named parts, and in total since it was made."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._parts: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self._parts[part] = self._parts.get(part, 0) + time.perf_counter() - begun

    def seconds(self) -> dict[str, float]:
        total = time.perf_counter() - self._begun
        return {**{k: round(v, 3) for k, v in self._parts.items()}, "total": round(total, 3)}
