"""Putting weights in transformers' layout into stages, by the names that it gives to the parts of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from graftwork import HUB_WEIGHTS, WeightsMismatch
from graftwork_text.tokens import TextEncoder

LEGACY = {"gamma": "weight", "beta": "bias"}
"""What the first releases of BERT call the numbers of a LayerNorm."""


def filled(
    encoder: TextEncoder,
    folder: Path,
    prefix: str,
    places: Sequence[str],
    names: Sequence[Mapping[str, str]],
    turned: frozenset[str] = frozenset(),
) -> TextEncoder:
    """The encoder with the weights in `folder`; what the file holds of pretraining heads stays behind.

    prefix: what names begin with in a file that holds a head too. places: what those of each stage begin with then.
    names: for each stage, the library's names of parts and ours. turned: our names of those whose matrices lie
    transposed in the file.

    Raises `WeightsMismatch` when it does not hold them.
    """
    file = folder / HUB_WEIGHTS
    try:
        found = {_short(name, prefix): tensor for name, tensor in load_file(file).items()}
        called = []
        for stage, place, parts in zip(encoder.stages(), places, names, strict=True):
            wanted = stage.state_dict()
            taken, said = {}, {}
            for theirs, ours in parts.items():
                for kind in ("weight", "bias"):
                    if f"{ours}.{kind}" in wanted:
                        tensor = found[f"{place}{theirs}.{kind}"].to(torch.float32)
                        said[f"{ours}.{kind}"] = f"{place}{theirs}.{kind}", ours in turned and kind == "weight"
                        taken[f"{ours}.{kind}"] = tensor.T.contiguous() if said[f"{ours}.{kind}"][1] else tensor
            stage.load_state_dict(taken, assign=True)
            called.append(said)
        encoder.called = called
    except (KeyError, OSError, RuntimeError, SafetensorError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error).strip().splitlines()[-1].strip()
        raise WeightsMismatch(
            f"'{file}' does not hold the weights of '{encoder.spec.name}': {reason.rstrip('.')}.",
            "Save or fetch the model again.",
        ) from error
    return encoder


def _short(name: str, prefix: str) -> str:
    """The name of a tensor without the model's own in front, and with today's words for a LayerNorm's numbers."""
    owner, _, kind = name.removeprefix(prefix).rpartition(".")
    return f"{owner}.{LEGACY.get(kind, kind)}"
