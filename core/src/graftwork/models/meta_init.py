"""Models without values: the sizes of a zoo's model from its own code, without drawing or reading a weight."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from graftwork.models.backbone import Backbone
from graftwork.models.stages import State


class ShapesOnly(TorchFunctionMode):
    """A context in which layers get parameters on "meta", which have shapes and no values.

    Tensors that a model computes from while it is built, to know its own shape, stay on the CPU; `model.to("meta")`
    moves them.
    """

    FACTORIES = (torch.empty, torch.zeros, torch.ones)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = dict(kwargs or {})
        if func in self.FACTORIES and options.get("device") is None:
            options["device"] = "meta"
        return func(*args, **options)


def pooled_dims(backbone: Backbone, hidden: torch.Tensor) -> tuple[int, ...]:
    """D of the pooled features `(B, D)` after each stage, by running the stages on `hidden` (it may be on "meta")."""
    state, dims = State(hidden), []
    with torch.no_grad():
        for stage in backbone.stages():
            state = stage(state)
            dims.append(backbone.pool(state).shape[1])
    return tuple(dims)
