"""timm's models as backbones: described by what timm states of their weights, loaded by its own rules, strictly."""

from __future__ import annotations

import difflib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg

from graftwork import (
    AtLeast,
    AtMost,
    Backbone,
    BackboneSpec,
    Exactly,
    HubWeights,
    InputContract,
    Preferably,
    Recipe,
    ShapesOnly,
    UnknownName,
    UsageError,
    WeightsMismatch,
    pooled_dims,
)
from graftwork_timm.stages import taken_apart

RECIPE = Recipe(
    learning_rate=1e-4, batch_size=32, epochs=5, source="fastai's fine_tune, the middle of its 1e-5 to 1e-3"
)


UNMAPPED = "are not mapped to stages yet, so it is one stage: it stays frozen or trains whole."


def resolve(name: str, identifier: str) -> BackboneSpec:
    """The spec of a model that timm has weights for: `timm:resnet18`, or with their tag, `timm:resnet18.a1_in1k`.

    Raises `UnknownName` for one that it has not, `UsageError` for one that reads images as is not done here.
    """
    told = get_pretrained_cfg(identifier, allow_unregistered=False) if timm.is_model(identifier) else None
    if told is None or not told.hf_hub_id:
        known = timm.list_models(pretrained=True)
        near = ", ".join(difflib.get_close_matches(identifier, known, n=5, cutoff=0))
        raise UnknownName(
            f"timm has no weights for a model called '{identifier}'; the nearest of its {len(known)} are {near}.",
            "List all: python -c 'import timm; print(*timm.list_models(pretrained=True))'",
        )
    with ShapesOnly():
        model = timm.create_model(identifier, pretrained=False, num_classes=0)
    model = model.eval().to("meta")
    kind, stages = taken_apart(model)
    whole = [stage.name for stage in stages] == ["model"]
    spec = BackboneSpec(
        name=name,
        contract=_contract(name, told),
        factory="graftwork_timm.models:build",
        weights=HubWeights(told.hf_hub_id, ("model.safetensors|pytorch_model.bin",)),
        stages=tuple(stage.name for stage in stages),
        feature_dim=0,
        parameters=sum(p.numel() for stage in stages for p in stage.parameters()),
        license=told.license or "as its owner states",
        source=f"timm, https://huggingface.co/{told.hf_hub_id}",
        pretrained_on=f"what the tag {told.tag or 'of its weights'} says; {told.num_classes} classes",
        config={"model": identifier},
        recipe=RECIPE,
        views=("pooled",) if whole else ("pooled", "map", "pyramid"),
        note=f"The layers of timm's {type(model).__name__} {UNMAPPED}" if whole else "",
    )
    dims = pooled_dims(kind(spec, stages, [0] * len(stages)), torch.empty(1, *told.input_size, device="meta"))
    return replace(spec, feature_dim=dims[-1], config={"model": identifier, "dims": dims})


def build(spec: BackboneSpec, weights: Path | None) -> Backbone:
    """Build with the weights in a folder (tensors only), or with random ones.

    Raises `WeightsMismatch` for a file that is damaged, or whose names or shapes are not the model's.
    """
    title = spec.config["model"]
    if weights is None:
        model = timm.create_model(title, pretrained=False, num_classes=0)
    else:
        file = next(weights / name for name in ("model.safetensors", "pytorch_model.bin") if (weights / name).is_file())
        try:
            model = timm.create_model(title, pretrained=True, pretrained_cfg_overlay={"file": str(file)})
        except Exception as error:  # every file format raises its own family
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".:")
            raise WeightsMismatch(
                f"'{file}' does not hold the weights of '{spec.name}': {reason}.",
                f"Fetch them again: {spec.weights.describe()}",
            ) from error
        model.reset_classifier(0)
    kind, stages = taken_apart(model)
    return kind(spec, stages, spec.config["dims"])


def _contract(name: str, told: Any) -> InputContract:
    _, height, width = told.input_size
    if height != width or told.crop_mode not in ("center", "squash"):
        raise UsageError(
            f"'{name}' reads images of {height} x {width} pixels, cut by '{told.crop_mode}'; squares, cut by 'center' "
            "or 'squash', can be prepared.",
            "Name another model.",
        )
    resize = math.floor(height / told.crop_pct)
    preparation = {
        "resize": resize if told.crop_mode == "center" else (resize, resize),
        "crop": height,
        "interpolation": "bicubic" if told.interpolation == "bicubic" else "bilinear",
        "range": (0.0, 1.0),
        "mean": tuple(told.mean),
        "std": tuple(told.std),
    }
    facts = {
        "frames": Exactly(1),
        "orientation": Exactly(1),
        "bit_depth": AtMost(8, "bits"),
        "mode": Exactly("RGB"),
        "short_side": Preferably(AtLeast(height, "px"), "they are enlarged and hold no detail that fine"),
    }
    return InputContract("image", facts, preparation)
