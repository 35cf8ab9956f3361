"""Frozen is frozen: plans applied to a backbone's stages, and proven afterwards by digests."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from graftwork.errors import UsageError
from graftwork.freeze.policies import NORMS, Plan, StagePlan
from graftwork.models.stages import Stage


def trained(plan: Plan, stages: Sequence[Stage]) -> dict[str, dict[str, nn.Parameter]]:
    """For each stage that is in the plan, the parameters that train, by their names inside it.

    Raises `UsageError` when a pattern of the plan matches no parameter at all, or nothing can be adapted.
    """
    chosen = {
        planned.stage: {
            name: parameter
            for name, parameter in stage.named_parameters()
            if planned.trains and _trains(planned, name, stage)
        }
        for planned, stage in zip(plan.stages, stages, strict=False)
    }
    _check_matched(plan, stages)
    return chosen


def _trains(planned: StagePlan, name: str, stage: Stage) -> bool:
    if ".lora_" in name:
        return bool(planned.lora)
    full = f"{planned.stage}.{plain(name)}"
    return any(
        "norm" in type(stage.get_submodule(name.rpartition(".")[0])).__name__.lower()
        if pattern == NORMS
        else fnmatchcase(full, pattern)
        for pattern in planned.parameters
    )


def _check_matched(plan: Plan, stages: Sequence[Stage]) -> None:
    training = [(p, s) for p, s in zip(plan.stages, stages, strict=False) if p.trains]
    for pattern in dict.fromkeys(pattern for planned, _ in training for pattern in planned.parameters):
        if any(
            _trains(StagePlan(p.stage, True, parameters=(pattern,)), name, s)
            for p, s in training
            for name, _ in s.named_parameters()
        ):
            continue
        if pattern == NORMS:
            raise UsageError("The encoder has no normalisation layer to train.", "Choose another: --freeze last:1")
        names = [f"{p.stage}.{plain(name)}" for p, s in training for name, _ in s.named_parameters()]
        near = get_close_matches(pattern, names, 1, cutoff=0)
        raise UsageError(
            f"No parameter matches '{pattern}'; the nearest of the {len(names)} is '{near[0]}'."
            if near
            else f"No parameter matches '{pattern}': the stages that it is for own none.",
            "See them all: graftwork freeze --backbone NAME all",
        )


def plain(name: str) -> str:
    """The name that a parameter had before its layer was wrapped for low-rank updates."""
    return name.replace(".base_layer.", ".")


def adapt(plan: Plan, stages: Sequence[Stage]) -> None:
    """Give the linear layers of each stage the low-rank updates of its plan (through peft); not twice.

    They start as no change at all: their second factor is zero.

    Raises `UsageError` when no stage of the plan has a linear layer, or peft is not installed.
    """
    wanted = [(planned, stage) for planned, stage in zip(plan.stages, stages, strict=False) if planned.lora]
    if not wanted or any(_adapted(stage) for _, stage in wanted):
        return
    targets = [(planned.lora, stage, _linear(stage)) for planned, stage in wanted]
    if not any(names for _, _, names in targets):
        raise UsageError(
            f"The freeze policy lora:r={wanted[0][0].lora} adapts linear layers, and the stages "
            f"{', '.join(planned.stage for planned, _ in wanted)} have none.",
            "Choose another: --freeze norm, or last:1",
        )
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise UsageError(
            "The freeze policy 'lora' needs the package peft, which is not installed.",
            "Install it: pip install 'graftwork[lora]'",
        ) from error
    for rank, stage, names in targets:
        if names:
            inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=names), stage)


def _adapted(stage: nn.Module) -> bool:
    return any(".lora_" in name for name, _ in stage.named_parameters())


def _linear(stage: Stage) -> list[str]:
    """The linear layers, and the attention layers that hold some which they read past their forward."""
    attention = [name for name, module in stage.named_modules() if isinstance(module, nn.MultiheadAttention)]
    linear = [
        name
        for name, module in stage.named_modules()
        if isinstance(module, nn.Linear) and not any(name.startswith(f"{owner}.") for owner in attention)
    ]
    return attention + linear


def apply(plan: Plan, stages: Sequence[Stage], training: bool = True) -> None:
    """Freeze what the plan says: no gradients, and evaluation mode, so that dropout is off and statistics rest.

    Stages that are not in the plan are frozen. In those that train, layers that keep statistics (batch norms) go on
    using those of pretraining: a small batch has worse ones, and with them an example's output would depend on its
    neighbours. Their own parameters train as any.
    """
    chosen = trained(plan, stages)
    for stage in stages:
        names = chosen.get(stage.name, {})
        stage.train(training and bool(names))
        for name, parameter in stage.named_parameters():
            parameter.requires_grad_(name in names)
        for module in stage.modules():
            if getattr(module, "track_running_stats", False):
                module.eval()


def may_move(names: Collection[str]) -> set[str]:
    """The tensors (by plain name) that training the parameters `names` of a stage changes: those, and no buffer."""
    return {plain(name) for name in names}


def digests(stage: nn.Module) -> dict[str, str]:
    """SHA-256 over type, shape and bytes of each parameter and buffer, by plain name."""
    return {plain(name): _digest(tensor) for name, tensor in stage.state_dict(keep_vars=True).items()}


def _digest(tensor: Tensor) -> str:
    tensor = tensor.detach().cpu().contiguous()
    sha = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def stage_digests(stages: Sequence[Stage]) -> dict[str, dict[str, str]]:
    """`digests` of each stage, by its name."""
    return {stage.name: digests(stage) for stage in stages}


def combined(tensors: Mapping[str, str]) -> str:
    """One digest for a set of named ones."""
    return hashlib.sha256(" ".join(f"{name}={tensors[name]}" for name in sorted(tensors)).encode()).hexdigest()


def weights_digest(stages: Mapping[str, Mapping[str, str]]) -> str:
    """One digest for a whole backbone, from those of its stages."""
    return combined({name: combined(tensors) for name, tensors in stages.items()})


def certificate(
    moving: Mapping[str, Collection[str]],
    before: Mapping[str, Mapping[str, str]],
    after: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """The proof of what was and was not trained: `ok` is False when a tensor moved that was frozen.

    moving: for each stage the tensors that may have moved (`may_move`); before, after: `stage_digests`.
    `leaked` names the frozen tensors that moved.
    """
    stages, leaked = {}, []
    for name, old in before.items():
        new, free = after[name], moving.get(name, ())
        still = {tensor: value for tensor, value in old.items() if tensor not in free}
        leaked += [f"{name}.{tensor}" for tensor, value in still.items() if new.get(tensor) != value]
        stages[name] = {
            "before": combined(old),
            "after": combined(new),
            "trained": sorted(free),
            "frozen": len(still),
        }
    return {
        "ok": not leaked,
        "frozen": [name for name, entry in stages.items() if not entry["trained"]],
        "moved": [name for name, entry in stages.items() if entry["before"] != entry["after"]],
        "leaked": leaked,
        "stages": stages,
    }
