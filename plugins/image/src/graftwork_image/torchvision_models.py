"""Torchvision's classifiers as backbones: built whole, loaded strictly, taken apart without their heads."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision import models

from graftwork import (
    Backbone,
    BackboneSpec,
    ShapesOnly,
    UnknownName,
    UrlWeights,
    WeightsMismatch,
    failure_reason,
    pooled_dims,
)
from graftwork_image.plugin import CONVOLUTIONAL, IMAGENET, TRANSFORMER, reads
from graftwork_image.torchvision_stages import TAKE_APART, WITH_STRIDES

WITHOUT_SLOW_START = {
    "googlenet": {"init_weights": False, "transform_input": True},
    "inception_v3": {"init_weights": False, "transform_input": True},
}


def build(spec: BackboneSpec, weights: Path | None) -> Backbone:
    """Build from a torchvision state dict (read with weights_only), or with random weights.

    `spec.config` holds the `model` by torchvision's name, the `dims` of pooled features after each stage and, for
    vision transformers, the `image_size` in pixels.

    Raises `WeightsMismatch` for a file that is damaged, or whose names or shapes are not the model's.
    """
    model = built(spec.config, shapes=weights is not None)  # numbers that a file replaces are not drawn
    if weights is not None:
        try:
            states = torch.load(weights, map_location="cpu", weights_only=True)
            model.load_state_dict(_renamed(states) if isinstance(model, models.DenseNet) else states, assign=True)
        except (RuntimeError, EOFError, TypeError, pickle.UnpicklingError) as error:
            raise WeightsMismatch(
                f"'{weights}' does not hold the weights of '{spec.name}': {failure_reason(error)}.",
                f"Delete it, so that it is fetched again from {spec.weights.describe()}.",
            ) from error
    kind, take_apart = TAKE_APART[type(model)]
    return kind(spec, take_apart(model), spec.config["dims"])


def resolve(name: str, identifier: str) -> BackboneSpec:
    """The spec of a classifier of torchvision with its best weights, or those that are named: `vit_b_16@IMAGENET1K_V1`.

    Sizes are those of the model without numbers. Raises `UnknownName` for one that there is not.
    """
    title, weights = _chosen(identifier)
    told = weights.transforms()
    (crop,), (resize,) = told.crop_size, told.resize_size
    config = {"model": title, **({"image_size": crop} if title.startswith("vit_") else {})}
    model = built(config, shapes=True).eval().to("meta")
    kind, take_apart = TAKE_APART[type(model)]
    stages = take_apart(model)
    interpolation, mean, std = told.interpolation.value, tuple(told.mean), tuple(told.std)
    preparation = {**IMAGENET, "interpolation": interpolation, "mean": mean, "std": std}
    spec = BackboneSpec(
        name=name,
        contract=reads(resize, crop, **preparation),
        factory="graftwork_image.torchvision_models:build",
        weights=UrlWeights(
            weights.url,
            sha256=weights.url.removesuffix(".pth").rsplit("-", 1)[-1],
            size_bytes=round(weights.meta["_file_size"] * 2**20),
        ),
        stages=tuple(stage.name for stage in stages),
        feature_dim=0,
        parameters=sum(p.numel() for stage in stages for p in stage.parameters()),
        license=weights.meta.get("license", "BSD-3-Clause"),
        source=f"torchvision, {type(weights).__name__}.{weights.name}",
        pretrained_on="ImageNet-1k, 1.28 million photographs in 1 000 classes",
        config=config,
        recipe=CONVOLUTIONAL if kind.channels_last else TRANSFORMER,
        views=("pooled", "map", "pyramid") if type(model) in WITH_STRIDES else ("pooled",),
    )
    dims = pooled_dims(kind(spec, stages, [0] * len(stages)), torch.empty(1, 3, crop, crop, device="meta"))
    return replace(spec, feature_dim=dims[-1], config={**config, "dims": dims})


def _chosen(identifier: str) -> tuple[str, Any]:
    """The classifier's name, and torchvision's description of the weights to take."""
    title, _, chosen = identifier.partition("@")
    known = models.list_models(module=models)
    if title not in known:
        near = ", ".join(get_close_matches(title, known, n=5, cutoff=0)[:5])
        raise UnknownName(
            f"torchvision has no classifier called '{title}'; the nearest of its {len(known)} are {near}.",
            "List all: python -c 'from torchvision import models; print(models.list_models(module=models))'",
        )
    offered: Any = models.get_model_weights(title)
    if chosen and chosen not in offered.__members__:
        raise UnknownName(
            f"'{title}' has no weights called '{chosen}' in torchvision; it has {', '.join(offered.__members__)}.",
            f"Name one of them, or none: torchvision:{title}",
        )
    return title, offered[chosen] if chosen else offered.DEFAULT


def built(config: Mapping[str, Any], *, shapes: bool) -> nn.Module:
    """The model of a `spec.config`, with its ImageNet head, random; shapes: without numbers, which takes no time."""
    title = config["model"]
    options = {"image_size": config["image_size"]} if "image_size" in config else {}
    with ShapesOnly() if shapes else nullcontext():
        return models.get_model(title, weights=None, **WITHOUT_SLOW_START.get(title, {}), **options)


def _renamed(states: dict[str, Any]) -> dict[str, Any]:
    """DenseNet's tensors by today's names: the files are older than the rule against dots in them."""
    return {re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", name): states[name] for name in states}
