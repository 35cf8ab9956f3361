"""The plugin keeps what the kit asks of any; a second way of computing the network stands for a library of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import conv1d, layer_norm

from graftwork.testing import conformance
from graftwork_time_series.prepare import normalized


def reference(backbone: Any, values: list[Any]) -> torch.Tensor:
    """Each series alone, channels before time, without masks, from the names of the weights."""
    weights = backbone.state_dict()

    def convolve(hidden: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        kernel = weights[f"{name}.convolution.weight"]
        made = conv1d(hidden, kernel, stride=stride, padding=kernel.shape[2] // 2)
        gain, shift = weights[f"{name}.norm.weight"], weights[f"{name}.norm.bias"]
        return layer_norm(made.T, gain.shape, gain, shift).T

    pooled = []
    for series in values:
        hidden = torch.from_numpy(normalized(series.values[:, 0])).float()[None]
        hidden = convolve(hidden, "_stages.0.values", 2).relu()
        for number in range(1, len(backbone.spec.stages)):
            block = f"_stages.{number}"
            first = convolve(hidden, f"{block}.first", 2).relu()
            hidden = (convolve(first, f"{block}.second", 1) + convolve(hidden, f"{block}.around", 2)).relu()
        pooled.append(hidden.mean(1))
    return torch.stack(pooled)


test_conformance = conformance("time-series", references={"series/resnet1d-tiny": reference})
