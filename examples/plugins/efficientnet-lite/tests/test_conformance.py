"""The plugin keeps what the kit asks of any."""

from __future__ import annotations

from typing import Any

import torch
from efficientnet_lite_pytorch import EfficientNet

from graftwork.testing import conformance


def reference(backbone: Any, values: list[Any]) -> torch.Tensor:
    model: Any = EfficientNet.from_name("efficientnet-lite0").eval()
    model.load_state_dict(torch.load(backbone.spec.weights.find(), weights_only=True))
    return model.extract_features(backbone.prepare(values).hidden)


test_conformance = conformance("efficientnet-lite", references={"image/efficientnet-lite0": reference})
