"""The image plugin keeps what the kit asks of any."""

from __future__ import annotations

from typing import Any

import torch
from torchvision import models

from graftwork.testing import conformance
from graftwork_image.torchvision_models import WITHOUT_SLOW_START


def reference(backbone: Any, values: list[Any]) -> torch.Tensor:
    """torchvision's own transforms and forward, of the model that the kit's seed gives, without its classifier."""
    name = backbone.spec.config["model"]
    known = models.get_model_weights(name)
    transform = next(weights for weights in known if weights.url == backbone.spec.weights.url).transforms()
    model = models.get_model(name, weights=None, **WITHOUT_SLOW_START.get(name, {}))
    for head in ("fc", "heads"):
        if hasattr(model, head):
            setattr(model, head, torch.nn.Identity())
    if hasattr(model, "classifier"):
        model.classifier[-1] = torch.nn.Identity()
    return model.eval()(torch.stack([transform(value) for value in values]))


names = ["resnet18", "resnet50", "vit-b-16", "vgg16", "inception-v3"]
test_conformance = conformance("graftwork-image", references={f"image/{name}": reference for name in names})
