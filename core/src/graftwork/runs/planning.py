"""What a fit is asked, and that it can be done: settled before any weights are looked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from graftwork.data.reading import Data, allow_bad
from graftwork.data.splits import check_fraction, check_labels, labelled, split
from graftwork.data.streaming import Stream
from graftwork.errors import UsageError
from graftwork.features.examples import Augmentation, CachedAugmentations, check_long
from graftwork.freeze import policies
from graftwork.freeze.policies import FreezePolicy
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
from graftwork.specs.task import HeadSpec
from graftwork.training.logs import check_loggers
from graftwork.training.optimizers import check_optimizer
from graftwork.training.trainer import exact


@dataclass(frozen=True)
class FitRequest:
    """What `graftwork.fit` is asked, in its words."""

    backbone: str | None
    task: str
    freeze: str
    tap: str
    val: float
    seed: int
    refit: bool | None
    on_bad: str
    precision: str
    device: str
    long: str | None
    adapter: str
    out: str | Path | None
    resume: bool
    c: float | None
    cache: bool
    compile: bool
    settings: Settings


@dataclass(frozen=True)
class FitPlan:
    """What that means for the data, and what of it is possible.

    agreement: of the data, or of a stream's first chunk. tap: a stage's number; every: whether all up to it are tried.
    exactly: whether the head is solved, without steps. long: "truncate" or "windows".
    change: augments a training example; views: in how many versions, where they are kept.
    """

    spec: BackboneSpec
    agreement: Agreement
    head: HeadSpec
    policy: FreezePolicy
    tap: int
    every: bool
    exactly: bool
    long: str
    device: torch.device
    change: Augmentation | None
    views: CachedAugmentations | None


def resolve(asked: FitRequest, data: Data | Stream) -> FitPlan:
    """Raises what `graftwork.fit` raises before it loads an encoder."""
    head, streamed = data.head, isinstance(data, Stream)
    name = data.modality.name
    spec = registry.backbone(asked.backbone) if asked.backbone else registry.starter(name, asked.adapter)
    agreement = registry.agree_on(
        spec, head.observed, asked.adapter, may_leave_out=data.max_left_out if asked.on_bad == "skip" else 0.0
    )
    if asked.out is not None and processes.is_main_process():
        check_free(asked.out)
    if not streamed or asked.on_bad != "skip":
        allow_bad(head.bad, len(head) + len(head.bad), asked.on_bad, agreement)
    labels = labelled(head.labels)
    if not streamed:
        check_labels(labels)
    check_fraction(asked.val)
    head_spec = registry.head(registry.task(asked.task).heads[0])
    every = asked.tap == "all"
    tap = spec.tap("last" if every else asked.tap)
    policy = policies.parse(asked.freeze)
    training = len(head) if streamed else split(labels, head.splits, asked.val, asked.seed).count("train")
    epochs = decide(asked.settings, spec.recipe, training).epochs
    exactly = exact([policy.plan(spec.stages[: tap + 1], epoch) for epoch in range(epochs)], head_spec)
    _check_asked(asked, exactly, policy.head_first, streamed)
    long = asked.long or data.modality.long
    check_long(long)
    device = resolve_device(asked.device)
    modality = registry.modality(spec.modality)
    change = augmentation(asked.settings, modality)
    views = _views(asked.settings, change, modality, exactly)
    if exactly:
        check_precision(asked.precision)
    else:
        from graftwork.training.accelerator import training_precision

        training_precision(asked.precision, device)
    return FitPlan(spec, agreement, head_spec, policy, tap, every, exactly, long, device, change, views)


def _check_asked(asked: FitRequest, exactly: bool, head_first: bool, streamed: bool) -> None:
    """Raises `UsageError` for what the engine that the policy asks for would not heed, or could not do."""
    freeze = asked.freeze
    if exactly:
        _check_exact(asked, streamed)
        return
    for option, given, why in (
        ("--refit", asked.refit is True, "is for heads that are solved exactly"),
        ("--c", asked.c is not None, "is for heads that are solved exactly"),
        ("--tap all", asked.tap == "all", "compares heads that are solved exactly"),
        ("--streaming", streamed, "reads the data once, which is for heads that are solved exactly"),
    ):
        if given:
            hint = "Leave it out, or write: --freeze head" if option != "--tap all" else (
                "Find the stage first: --tap all --freeze head"
            )  # fmt: skip
            raise UsageError(f"{option} {why}; the freeze policy '{freeze}' trains by steps.", hint)
    if asked.compile and not head_first:
        raise UsageError(
            f"--compile is for what runs frozen before training; the freeze policy '{freeze}' has nothing of the kind.",
            "Leave it out, or write: --freeze head",
        )
    if asked.resume and asked.out is None:
        raise UsageError("resume goes on with the fit to a folder, and none is named.", "Name it: out='runs/NAME'")
    check_optimizer(asked.settings.optimizer)
    check_loggers(asked.settings)


APPLICABLE = ("balance", "augment", "views")
"""Settings that have a meaning without steps."""


def _check_exact(asked: FitRequest, streamed: bool) -> None:
    said = asked.settings
    unheeded = [name for name in said.changed() if name not in APPLICABLE or getattr(said, name) == "sampling"]
    names = ["--" + name.replace("_", "-") for name in unheeded]
    if names := names + (["--resume"] if asked.resume else []):
        raise UsageError(
            f"The freeze policy '{asked.freeze}' solves the head exactly, without steps, so there is nothing that "
            f"{names[0]} could change.",
            "Leave it out, or train by steps: --freeze lpft",
        )
    if streamed:
        for option, given in (("--tap all", asked.tap == "all"), ("--views", said.views > 0)):
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


def request(asked: FitRequest, settled: FitPlan, **known: Any) -> dict[str, Any]:
    """What must be the same for a fit by steps to go on; `known` is what is known once weights and data are."""
    free = ("checkpoint_every", "tensorboard", "loggers")
    settings = {name: value for name, value in vars(asked.settings).items() if name not in free}
    said = {name: getattr(asked, name) for name in ("freeze", "val", "seed", "precision", "adapter", "on_bad")}
    spec = settled.spec
    return {
        "backbone": spec.name, "tap": spec.stages[settled.tap], "long": settled.long, "processes": processes.count(),
        **said, **settings, **known,
    }  # fmt: skip
