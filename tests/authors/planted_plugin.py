"""A whole plugin in one file, whose code fails where it is told to: `planted_plugin.FAULT = "stage.forward"`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

import graftwork as gw
from graftwork.tasks.classify import Classify

api_version = 1
FAULT = ""


class Reader(gw.Reader):
    def facts(self, raw: gw.Raw) -> dict[str, gw.Value]:
        if FAULT == "reader.facts":
            raise ZeroDivisionError(FAULT)
        values = raw.content().decode().split()
        return {"rate": int(values[0])}

    def decode(self, raw: gw.Raw) -> np.ndarray:
        if FAULT == "reader.decode":
            raise ZeroDivisionError(FAULT)
        if FAULT == "reader.decode of one" and raw.name.endswith("a/3.planted"):
            raise ZeroDivisionError(FAULT)
        if FAULT == "reader.decode exits":
            raise SystemExit(FAULT)
        return np.array(raw.content().decode().split()[1:], np.float32)

    def defects(self, value: Any) -> dict[str, float]:
        if FAULT == "reader.defects":
            raise ZeroDivisionError(FAULT)
        return {}

    def digest(self, raw: gw.Raw) -> bytes:
        if FAULT == "reader.digest":
            raise ZeroDivisionError(FAULT)
        return super().digest(raw)


class Likeness(gw.Likeness):
    bands, threshold = 2, 0.9

    def signature(self, raw: gw.Raw) -> np.ndarray:
        if FAULT == "likeness":
            raise ZeroDivisionError(FAULT)
        return np.round(Reader().decode(raw)[:4]).astype(np.int16)

    def similarity(self, one: Any, other: Any) -> Any:
        return (one == other).mean(1)


class Stage(gw.Stage):
    def __init__(self) -> None:
        super().__init__("only")
        self.scale = torch.nn.Parameter(torch.ones(2))

    def forward(self, state: gw.State) -> gw.State:
        if FAULT == "stage.forward":
            return gw.State(torch.zeros(2, 3) @ torch.zeros(2, 3), state.mask)
        return gw.State(state.hidden[..., None] * self.scale, state.mask)


class Backbone(gw.Backbone):
    def pool(self, state: gw.State) -> torch.Tensor:
        if FAULT == "pool":
            raise ZeroDivisionError(FAULT)
        return gw.masked_mean(state)


def prepare(spec: gw.BackboneSpec) -> Any:
    if FAULT == "preparer":
        raise ZeroDivisionError(FAULT)

    def batch(values: list[np.ndarray]) -> gw.State:
        if FAULT == "prepare":
            raise ZeroDivisionError(FAULT)
        return gw.State(torch.tensor(np.stack(values)) / 10, torch.ones(len(values), 4, dtype=torch.bool))

    return batch


def build(spec: gw.BackboneSpec, weights: Path | None) -> Backbone:
    if FAULT == "build":
        raise ZeroDivisionError(FAULT)
    return Backbone(spec, [Stage()], [2])


def convert(value: np.ndarray, seen: int, to: int) -> np.ndarray:
    if FAULT == "converter":
        raise ZeroDivisionError(FAULT)
    return value


def adapt(value: str) -> Any:
    raise ZeroDivisionError(FAULT)


def augment() -> Any:
    if FAULT == "augment build":
        raise ZeroDivisionError(FAULT)

    def change(value: np.ndarray, rng: Any) -> np.ndarray:
        if FAULT == "augment":
            raise ZeroDivisionError(FAULT)
        return value

    return change


def survey(spec: gw.BackboneSpec, weights: Path | None) -> Any:
    if FAULT == "survey":
        raise ZeroDivisionError(FAULT)
    return lambda values: {}


class Task(Classify):
    def encode(self, raw: Any, known: Any = None) -> Any:
        if FAULT == "task.encode":
            raise ZeroDivisionError(FAULT)
        return super().encode(raw, known)

    def loss(self, outputs: Any, targets: Any, smoothing: float = 0.0) -> Any:
        if FAULT == "task.loss":
            raise ZeroDivisionError(FAULT)
        return super().loss(outputs, targets, smoothing)

    def metrics(self, outputs: Any, targets: Any, known: Any) -> Any:
        if FAULT == "task.metrics":
            raise ZeroDivisionError(FAULT)
        return super().metrics(outputs, targets, known)

    def decode(self, outputs: Any, known: Any) -> Any:
        if FAULT == "task.decode":
            raise ZeroDivisionError(FAULT)
        return super().decode(outputs, known)


class Head(gw.LinearHead):
    def __init__(self, features: int, outputs: int) -> None:
        if FAULT == "head":
            raise ZeroDivisionError(FAULT)
        super().__init__(features, outputs)

    def forward(self, features: Any) -> Any:
        if FAULT == "head.forward":
            raise ZeroDivisionError(FAULT)
        return super().forward(features)


class Policy(gw.FreezePolicy):
    def plan(self, stages: Any, epoch: int) -> gw.Plan:
        if FAULT == "policy.plan":
            raise ZeroDivisionError(FAULT)
        return gw.Plan(tuple(gw.StagePlan(name, trains=True) for name in stages), 1.0)


def policy(argument: str) -> Policy:
    if FAULT == "policy":
        raise ZeroDivisionError(FAULT)
    return Policy()


class Source(gw.Source):
    def files(self) -> list[gw.RemoteFile]:
        if FAULT == "source.files":
            raise ZeroDivisionError(FAULT)
        return [gw.RemoteFile("a/1.planted", 3, "1")]

    def read(self, file: gw.RemoteFile, start: int = 0) -> Any:
        raise ZeroDivisionError(FAULT)


class Annotations(gw.AnnotationReader):
    def fits(self, place: Path) -> bool:
        if FAULT == "annotations.fits":
            raise ZeroDivisionError(FAULT)
        return FAULT == "annotations.read"

    def read(self, place: Path, kind: str) -> gw.AnnotatedExamples:
        raise ZeroDivisionError(FAULT)


class Logger(gw.Logger):
    def start(self, folder: Any, columns: Any, rows: Any, about: Any) -> None:
        if FAULT == "logger":
            raise ZeroDivisionError(FAULT)

    def log(self, row: Any) -> None: ...
    def close(self) -> None: ...


def demo(folder: Path) -> Path:
    raise ZeroDivisionError(FAULT)


def resolve(name: str, identifier: str) -> gw.BackboneSpec:
    raise ZeroDivisionError(FAULT)


HERE = "planted_plugin"


@gw.hookimpl
def graftwork_modalities():
    yield gw.Modality(
        "planted", "planted series", f"{HERE}:Reader", (gw.Fact("rate", "the first number"),), (".planted",),
        preparer=f"{HERE}:prepare", likeness=f"{HERE}:Likeness", augment=f"{HERE}:augment",
        defects=(gw.Defect("flat", "flat for {share}", "Look at them", threshold=0.5),),
    )  # fmt: skip
    yield gw.Modality("words", "words", f"{HERE}:Reader", (gw.Fact("rate", "the first number"),), (".words",))


@gw.hookimpl
def graftwork_backbones():
    yield gw.BackboneSpec(
        "planted/one", gw.InputContract("planted", {"rate": gw.Exactly(1)}), f"{HERE}:build", gw.FolderWeights(Path("/")),
        ("only",), 2, 2, "MIT", "here", "nothing", starter=True, survey=f"{HERE}:survey",
    )  # fmt: skip


@gw.hookimpl
def graftwork_resolvers():
    yield gw.Resolver("planted", f"{HERE}:resolve")


@gw.hookimpl
def graftwork_converters():
    yield gw.Converter("rate", "planted", "rate", f"{HERE}:convert")


@gw.hookimpl
def graftwork_adapters():
    yield gw.Adapter("made", gw.InputContract("words"), "planted", f"{HERE}:adapt", {"rate": 1}, "everything is lost")


@gw.hookimpl
def graftwork_tasks():
    yield gw.TaskSpec("planted", f"{HERE}:Task", "names", ("planted", "linear"))
    yield gw.TaskSpec("planted-spans", f"{HERE}:Task", "spans", ("planted",), annotation="spans", modality="planted")
    yield gw.TaskSpec("unimported", "planted_broken:Task", "names", ("linear",))
    yield gw.TaskSpec("unnamed", f"{HERE}:Gone", "names", ("linear",))


@gw.hookimpl
def graftwork_heads():
    yield gw.HeadSpec("planted", f"{HERE}:Head", convex=True)


@gw.hookimpl
def graftwork_freeze_policies():
    yield gw.FreezePolicySpec("planted", f"{HERE}:policy", "all")


@gw.hookimpl
def graftwork_sources():
    yield gw.SourceSpec("planted", f"{HERE}:Source")


@gw.hookimpl
def graftwork_annotations():
    yield gw.AnnotationSpec("planted", f"{HERE}:Annotations", ("spans",), "planted", "planted label files")


@gw.hookimpl
def graftwork_loggers():
    yield gw.LoggerSpec("planted", f"{HERE}:Logger", "nothing")


@gw.hookimpl
def graftwork_demos():
    yield gw.Demo("planted", "planted", f"{HERE}:demo", f"{HERE}:demo", "nothing")
