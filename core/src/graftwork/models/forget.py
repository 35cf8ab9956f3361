"""A network as if it had learned nothing: its weights drawn anew."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

DEVIATION = 0.02
"""Of weights that belong to no layer of torch's: class tokens, positions (Devlin et al. 2019, arXiv:1810.04805)."""

Model = TypeVar("Model", bound=nn.Module)


def forget(model: Model, seed: int) -> Model:
    """Draw the weights of every layer as torch does when it makes one, and statistics of norms as they begin.

    Gains of a single dimension, and lengths of normalised weights, stay.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for module in model.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
                continue
            for name, own in module.named_parameters(recurse=False):
                length = isinstance(module, ParametrizationList) and name == "original0"
                if own.ndim > 1 and not length:
                    own.normal_(0.0, DEVIATION)
    return model
