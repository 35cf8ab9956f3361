"""Freezing: apply plans to a backbone's stages, and prove afterwards by digests that nothing frozen moved."""

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
from graftwork.runtime.parallel import prefetch_map
from graftwork.specs.limits import how_to_raise, limits


def trained(plan: Plan, stages: Sequence[Stage]) -> dict[str, dict[str, nn.Parameter]]:
    """The parameters that train, by stage and by their names inside it, for each stage of the plan.

    Raises `UsageError` if a pattern of the plan matches no parameter.
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
    """The name of a parameter before its layer was wrapped for low-rank updates."""
    return name.replace(".base_layer.", ".")


def adapt(plan: Plan, stages: Sequence[Stage]) -> None:
    """Give the linear layers of each stage the low-rank updates of its plan (through peft); a second call does nothing.

    At the start the updates change nothing, since their second factor is zero.

    Raises `UsageError` as `check_rank` does, if no stage of the plan has a linear layer, or peft is not installed.
    """
    planned_stages = [(planned, stage) for planned, stage in zip(plan.stages, stages, strict=False) if planned.lora]
    if not planned_stages or any(_adapted(stage) for _, stage in planned_stages):
        return
    for planned, _ in planned_stages:
        check_rank(planned.lora)
    targets = [(planned.lora, stage, _linear(stage)) for planned, stage in planned_stages]
    if not any(names for _, _, names in targets):
        raise UsageError(
            f"The freeze policy lora:r={planned_stages[0][0].lora} adapts linear layers, and the stages "
            f"{', '.join(planned.stage for planned, _ in planned_stages)} have none.",
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


def check_rank(rank: Any) -> None:
    """Raises `UsageError` for what is no rank of low-rank updates, or one above `adapter_rank`."""
    most = limits().adapter_rank
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise UsageError(f"Low-rank updates have the rank {rank!r}; a whole number is accepted.", "Write: lora:r=8")
    if rank > most:
        raise UsageError(
            f"Low-rank updates have the rank {rank:,}; at most {most:,} is accepted.",
            how_to_raise("adapter_rank", rank),
        )


def _adapted(stage: nn.Module) -> bool:
    return any(".lora_" in name for name, _ in stage.named_parameters())


def _linear(stage: Stage) -> list[str]:
    """The linear layers, and attention layers instead of the linear layers in them, whose weights attention reads
    without calling their forward.
    """
    attention = [name for name, module in stage.named_modules() if isinstance(module, nn.MultiheadAttention)]
    linear = [
        name
        for name, module in stage.named_modules()
        if isinstance(module, nn.Linear) and not any(name.startswith(f"{owner}.") for owner in attention)
    ]
    return attention + linear


def apply(plan: Plan, stages: Sequence[Stage], training: bool = True) -> None:
    """Freeze stages by a plan: frozen ones have no gradients and are in evaluation mode, so dropout is off and
    statistics stay.

    Stages that are not in the plan are frozen. In stages that train, layers with running statistics (batch norms) keep
    using those of pretraining: a small batch gives worse ones, and an example's output would depend on the others in
    its batch. Their parameters train like any other.
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
    """The tensors of a stage (by plain name) that may change if the parameters `names` train: these, and no buffer."""
    return {plain(name) for name in names}


def stage_digests(stages: Sequence[Stage]) -> dict[str, dict[str, str]]:
    """SHA-256 of dtype, shape and bytes of each parameter and buffer, by stage and by plain name."""
    states = [stage.state_dict(keep_vars=True) for stage in stages]
    found = prefetch_map(tensor_digest, (tensor for state in states for tensor in state.values()))
    return {
        stage.name: {plain(name): next(found) for name in state} for stage, state in zip(stages, states, strict=True)
    }


def tensor_digest(tensor: Tensor) -> str:
    """SHA-256 of dtype, shape and bytes."""
    tensor = tensor.detach().cpu().contiguous()
    sha = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def combined(tensors: Mapping[str, str]) -> str:
    """One digest of a set of named digests."""
    return hashlib.sha256(" ".join(f"{name}={tensors[name]}" for name in sorted(tensors)).encode()).hexdigest()


def weights_digest(stages: Mapping[str, Mapping[str, str]]) -> str:
    """One digest of a whole backbone, from the digests of its stages."""
    return combined({name: combined(tensors) for name, tensors in stages.items()})


def certificate(
    moving: Mapping[str, Collection[str]],
    before: Mapping[str, Mapping[str, str]],
    after: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """The proof of what trained and what did not: `ok` is False if a frozen tensor moved, `leaked` names such tensors.

    moving: for each stage the tensors that may move (`may_move`). before, after: `stage_digests`.
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
