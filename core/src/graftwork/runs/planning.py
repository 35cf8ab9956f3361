"""A request to fit, resolved into a plan before any weights are looked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from graftwork.data.reading import Data, allow_bad
from graftwork.data.splits import check_fraction, labelled, split
from graftwork.data.streaming import Stream
from graftwork.errors import UsageError
from graftwork.features.examples import Augmentation, CachedAugmentations
from graftwork.features.long_inputs import check_long
from graftwork.freeze import policies
from graftwork.freeze.policies import FreezePolicy
from graftwork.models.engines.choosing import check_engine
from graftwork.models.engines.runner import Choice
from graftwork.models.machine import resolve_device
from graftwork.models.precision import check_precision
from graftwork.plugins import registry
from graftwork.runs.run import check_free
from graftwork.runtime import processes
from graftwork.specs.agreement import Agreement
from graftwork.specs.backbone import BackboneSpec
from graftwork.specs.factories import load_factory
from graftwork.specs.modality import Modality
from graftwork.specs.settings import Settings, decide
from graftwork.specs.task import DEFAULT_TASK, HeadSpec
from graftwork.tasks.dense import DenseTask
from graftwork.tasks.task import Targets, Task, check_applicable, load_task
from graftwork.training.logs import check_loggers
from graftwork.training.optimizers import check_optimizer
from graftwork.training.trainer import exact


@dataclass(frozen=True)
class FitRequest:
    """The arguments of `graftwork.fit`."""

    backbone: str | None = None
    task: str = DEFAULT_TASK
    target_transform: str = "none"
    freeze: str = "head"
    tap: str = ""
    val: float = 0.2
    seed: int = 0
    refit: bool | None = None
    on_bad: str = "skip"
    precision: str = "auto"
    engine: str = "auto"
    device: str = "auto"
    long: str | None = None
    adapter: str = ""
    convert: tuple[str, ...] = ()
    out: str | Path | None = None
    resume: bool = False
    c: float | None = None
    cache: bool = True
    compile: bool = False
    settings: Settings = field(default_factory=Settings)
    head: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    budget: float = math.inf


@dataclass(frozen=True)
class FitPlan:
    """What a request means for the data.

    agreement: of the data, or of a stream's first chunk. task, targets, splits: what all labels are to the task, and
    the split of each example; None for a stream, whose labels are known at its end. head: that of the task which is
    trained. taps: the numbers of the stages that the head reads; choice: "all" or "auto" where they are chosen among
    all up to the last. exactly: whether the head is solved, without
    steps. long: "truncate" or "windows".
    change: augments a training example; views: in how many versions, where they are kept.
    """

    request: FitRequest
    spec: BackboneSpec
    agreement: Agreement
    task: Task
    targets: Targets | None
    splits: list[str] | None
    policy: FreezePolicy
    taps: tuple[int, ...]
    choice: str
    exactly: bool
    long: str
    device: torch.device
    change: Augmentation | None
    views: CachedAugmentations | None
    head: HeadSpec

    @property
    def dense(self) -> bool:
        """Whether answers lie in the input."""
        return isinstance(self.task, DenseTask)

    @property
    def tap(self) -> int:
        """The last of the stages that the head reads."""
        return self.taps[-1]

    @property
    def wants_features(self) -> bool:
        """Whether training starts from features of the encoder as it was loaded."""
        return self.exactly or self.policy.head_first

    @property
    def compute(self) -> Choice:
        """What was asked to compute features; a GPU trains in fp16, and is not exact enough in it."""
        precision = self.request.precision
        return Choice(self.request.engine, "fp32" if precision == "fp16" else precision)


def resolve(request: FitRequest, data: Data | Stream) -> FitPlan:
    """Raises what `graftwork.fit` raises before it loads an encoder."""
    head, streamed = data.head, isinstance(data, Stream)
    name = data.modality.name
    spec = registry.backbone(request.backbone) if request.backbone else registry.starter(name, request.adapter)
    agreement = registry.agree_on(
        spec,
        head.observed,
        request.adapter,
        convert=request.convert,
        may_leave_out=data.max_left_out if request.on_bad == "skip" else 0.0,
    )
    if request.out is not None and processes.is_main_process():
        check_free(request.out)
    if not streamed or request.on_bad != "skip":
        allow_bad(head.bad, len(head) + len(head.bad), request.on_bad, agreement)
    task = load_task(request.task, request.target_transform, request.options)
    head_spec = chosen_head(task, request.head)
    _check_view(task, head_spec, spec)
    labels = labelled(head.labels)
    targets = None if streamed else task.encode(labels)
    check_fraction(request.val)
    choice = request.tap if request.tap in ("all", "auto") else ""
    taps = spec.taps("last" if choice else request.tap or "last")
    tap = taps[-1]
    policy = policies.parse(request.freeze)
    splits = None if targets is None else split(targets.strata, head.splits, request.val, request.seed)
    training = len(head) if splits is None else splits.count("train")
    epochs = decide(request.settings, task.recipe(spec.recipe), training).epochs
    plans = [policy.plan(spec.stages[: tap + 1], epoch) for epoch in range(epochs)]
    policies.check_trainable(spec, request.freeze, plans)
    exactly = exact(plans, task, head_spec)
    _check_asked(request, exactly, policy.head_first, streamed)
    dense = isinstance(task, DenseTask)
    if dense:
        _check_dense(request, task, streamed)
    elif not request.tap and exactly and not streamed and request.c is None:
        choice = "auto"
    _check_applicable(request, task)
    long = request.long or data.modality.long
    check_long(long)
    device = resolve_device(request.device)
    modality = registry.modality(spec.modality)
    change = augmentation(request.settings, modality)
    views = _views(request.settings, change, modality, exactly)
    asked = Choice(request.engine, request.precision)
    check_engine(asked, device, compiled=request.compile)
    if exactly and not dense:
        check_precision(request.precision)
    else:
        from graftwork.training.accelerator import training_precision

        training_precision(request.precision, device)
    return FitPlan(
        request,
        spec,
        agreement,
        task,
        targets,
        splits,
        policy,
        taps,
        choice,
        exactly,
        long,
        device,
        change,
        views,
        head_spec,
    )


def chosen_head(task: Task, name: str) -> HeadSpec:
    """The head of a task by its name; its first for none. Raises `UsageError` for one that does not fit."""
    if name and name not in task.spec.heads:
        raise UsageError(
            f"The task '{task.spec.name}' has no head '{name}'; it has {', '.join(task.spec.heads)}.",
            f"Write: --head {task.spec.heads[0]}",
        )
    return registry.head(name or task.spec.heads[0])


def _check_view(task: Task, head: HeadSpec, spec: BackboneSpec) -> None:
    """Raises `UsageError` for a task of another modality, and for an encoder without the view that the head reads."""
    if task.spec.modality not in ("", spec.modality):
        raise UsageError(
            f"The task '{task.spec.name}' is for {task.spec.modality}; '{spec.name}' reads {spec.modality}.",
            f"Choose another encoder: graftwork backbones --modality {task.spec.modality}",
        )
    if head.reads in spec.views:
        return
    able = [one.name for one in registry.backbones(spec.modality) if head.reads in one.views]
    which = f"; of those installed {', '.join(able)} give it" if able else ""
    raise UsageError(
        f"The task '{task.spec.name}' reads the view '{head.reads}' of an encoder; '{spec.name}' gives "
        f"{', '.join(spec.views)}{which}.",
        "Choose another encoder: graftwork backbones",
    )


def _check_dense(request: FitRequest, task: DenseTask, streamed: bool) -> None:
    """Raises `UsageError` for what is for one vector per example."""
    for option, given in (
        (f"--tap {request.tap}", request.tap in ("all", "auto") or "+" in request.tap),
        ("--streaming", streamed),
        ("--compile", request.compile),
        (f"--engine {request.engine}", request.engine not in ("auto", "torch")),
        ("--long", request.long is not None),
        ("--adapter", bool(request.adapter)),
        ("--convert", bool(request.convert)),
    ):
        if given:
            raise UsageError(
                f"{option} is for tasks with one answer per example; those of '{request.task}' lie in the input.",
                "Leave it out.",
            )
    if request.settings.augment and type(task).training_pieces is DenseTask.training_pieces:
        raise UsageError(
            f"--augment changes nothing: the task '{request.task}' shows its examples as they are.", "Leave it out."
        )


def _check_applicable(request: FitRequest, task: Task) -> None:
    """Raises `UsageError` for what the task has no use for."""
    said = request.settings
    check_applicable(
        task,
        [
            name
            for name, given in (
                ("balance", said.balance != "none"),
                ("label_smoothing", said.label_smoothing > 0),
                ("c", request.c is not None),
            )
            if given
        ],
    )


def _check_asked(request: FitRequest, exactly: bool, head_first: bool, streamed: bool) -> None:
    """Raises `UsageError` for what the engine that the policy asks for would not heed, or could not do."""
    freeze = request.freeze
    if exactly:
        _check_exact(request, streamed)
        return
    for option, given, why in (
        ("--refit", request.refit is True, "is for heads that are solved exactly"),
        ("--c", request.c is not None, "is for heads that are solved exactly"),
        ("--tap all", request.tap == "all", "compares heads that are solved exactly"),
        ("--tap auto", request.tap == "auto" and not head_first, "compares heads that are solved exactly"),
        (f"--tap {request.tap}", "+" in request.tap, "joins stages for a head that is solved exactly"),
        ("--streaming", streamed, "reads the data once, which is for heads that are solved exactly"),
    ):
        if given:
            among = option in ("--tap all", "--tap auto")
            hint = "Find the stage first: --tap auto --freeze head" if among else (
                "Leave it out, or write: --freeze head"
            )  # fmt: skip
            raise UsageError(f"{option} {why}; the freeze policy '{freeze}' trains by steps.", hint)
    for option, given in (("--compile", request.compile), ("--engine", request.engine not in ("auto", "torch"))):
        if given and not head_first:
            raise UsageError(
                f"{option} is for what runs frozen before training; the freeze policy '{freeze}' has nothing of the "
                "kind.",
                "Leave it out, or write: --freeze head",
            )
    if request.resume and request.out is None:
        raise UsageError("resume goes on with the fit to a folder, and none is named.", "Name it: out='runs/NAME'")
    check_optimizer(request.settings.optimizer)
    check_loggers(request.settings)


def _check_exact(request: FitRequest, streamed: bool) -> None:
    said = request.settings
    if request.precision == "int8" and streamed:
        raise UsageError(
            "--precision int8 is calibrated on examples of the training part, which a stream does not know.",
            "Leave out one of them.",
        )
    applicable = said.applicable("exact")
    inapplicable = [name for name in said.changed() if name not in applicable or getattr(said, name) == "sampling"]
    names = [said.option(name) for name in inapplicable]
    if names := names + (["--resume"] if request.resume else []):
        raise UsageError(
            f"The freeze policy '{request.freeze}' solves the head exactly, without steps, so there is nothing that "
            f"{names[0]} could change.",
            "Leave it out, or train by steps: --freeze lpft",
        )
    if streamed:
        chosen = request.tap in ("all", "auto")
        for option, given in ((f"--tap {request.tap}", chosen), ("--views", said.views > 0)):
            if given:
                raise UsageError(
                    f"{option} looks at the examples again, and --streaming reads them once.",
                    "Leave out one of them.",
                )


def augmentation(said: Settings, modality: Modality) -> Augmentation | None:
    """What changes training examples, where that is wanted. Raises `UsageError` where the modality brings none."""
    if not said.augment:
        return None
    if not modality.augment:
        raise UsageError(
            f"The modality '{modality.name}' brings no augmentation.", "Leave out --augment, or update its plugin."
        )
    return load_factory(modality.augment)()


def _views(
    said: Settings, change: Augmentation | None, modality: Modality, exactly: bool
) -> CachedAugmentations | None:
    if said.views and change is None:
        raise UsageError(
            f"--views {said.views} keeps so many augmented versions of each example, and nothing is augmented.",
            "Add --augment, or leave it out.",
        )
    if exactly and change is not None and not said.views:
        raise UsageError(
            "A head that is solved exactly sees each example in a number of augmented versions, and none is said.",
            "Say how many: --augment --views 8",
        )
    return CachedAugmentations(change, said.views, modality) if change is not None and said.views else None


def resume_request(plan: FitPlan, **known: Any) -> dict[str, Any]:
    """What must be the same for a fit by steps to go on; `known` is what is known once weights and data are."""
    request, spec = plan.request, plan.spec
    names = (
        "task",
        "head",
        "options",
        "target_transform",
        "freeze",
        "val",
        "seed",
        "precision",
        "engine",
        "adapter",
        "on_bad",
    )
    return {
        "backbone": spec.name, "tap": plan.choice or spec.stages[plan.tap], "long": plan.long,
        "processes": processes.count(), "convert": list(request.convert),
        **{name: getattr(request, name) for name in names}, **request.settings.fixed(), **known,
    }  # fmt: skip
