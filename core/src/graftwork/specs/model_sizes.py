"""What a config.json asks for: sizes are whole numbers within limits, before stages are named or tensors are made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from graftwork.errors import DataError, WeightsMismatch
from graftwork.specs.limits import how_to_raise, limits

LAYERS = re.compile(r"(num_|encoder_|decoder_)(\w+_)?layers|(num_|n_)layers?|(encoder|decoder)_layers|depths")
"""Names of settings that count layers."""
WIDTHS = frozenset((
    "hidden_size", "hidden_sizes", "d_model", "n_embd", "dim", "hidden_dim", "embed_dim", "embedding_size",
    "intermediate_size", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim", "n_inner", "vocab_size",
    "type_vocab_size", "max_position_embeddings", "n_positions", "num_attention_heads", "num_key_value_heads",
    "encoder_attention_heads", "decoder_attention_heads", "n_head", "n_heads", "head_dim", "conv_dim",
    "conv_kernel", "conv_stride", "num_conv_pos_embeddings", "num_conv_pos_embedding_groups", "image_size",
    "patch_size", "num_channels", "num_mel_bins", "max_source_positions", "max_target_positions",
))  # fmt: skip
"""Names of settings that are sizes of tensors."""
MAY_BE_ZERO = frozenset({"type_vocab_size"})
LABELS = ("id2label", "label2id", "task_specific_params")
"""Settings whose keys are anybody's words."""
DEPTH = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers")
WIDTH = ("hidden_size", "d_model", "n_embd", "dim")
ROWS = ("vocab_size", "max_position_embeddings", "n_positions")
NEEDED = (*DEPTH, *WIDTH, *ROWS[1:])
"""Settings that may not be null, since stages or contracts are made of them."""
SLACK = 16
"""Layers may share their weights, and weights may be stored in fewer bits: a model may be that much larger than its
file."""


def check_sizes(file: Path, config: Mapping[str, Any]) -> None:
    """Raises `DataError` for a number of layers or a size that is no whole number, or above the limits."""
    for name, value in _named(config):
        _check(file, name, value)


def check_memory(folder: Path, config: Mapping[str, Any]) -> None:
    """Raises `WeightsMismatch` where a model as config.json describes it is far larger than its weights in `folder`."""
    held = sum(path.stat().st_size for ending in ("*.safetensors", "*.bin") for path in folder.glob(ending))
    most = max(limits().packed_bytes, SLACK * held)
    layers, width = _first(config, DEPTH), _first(config, WIDTH)
    needed = 4 * width * max(layers * width, *(_first(config, (name,)) for name in ROWS))
    if needed > most:
        raise WeightsMismatch(
            f"The config.json in '{folder}' describes {needed:,} bytes of weights or more, and its files hold "
            f"{held:,}.",
            how_to_raise("packed_bytes", needed),
        )


def _named(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from () if name in LABELS else _named(value)
        elif name in WIDTHS or LAYERS.fullmatch(name):
            yield from ((name, one) for one in value) if isinstance(value, list) else ((name, value),)


def _check(file: Path, name: str, value: Any) -> None:
    if value is None and name not in NEEDED:
        return
    least = 0 if name in MAY_BE_ZERO else 1
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise DataError(
            f"'{file}' sets {name} to {repr(value)[:40]}; a whole number from {least} on is accepted.",
            "Save or fetch the model again.",
        )
    limit = "model_layers" if LAYERS.fullmatch(name) else "model_width"
    most = getattr(limits(), limit)
    if value > most:
        raise DataError(
            f"'{file}' sets {name} to {str(value)[:40]}; at most {most:,} is accepted.", how_to_raise(limit, value)
        )


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> int:
    found = next((config[name] for name in names if name in config), 0)
    return found if isinstance(found, int) else 0
