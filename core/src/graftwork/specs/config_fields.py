"""What the settings of a model's config files may hold: each is refused by name before anything is built of it.

Settings that are not listed are the business of whoever reads them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from graftwork.errors import DataError

MOST = 2**31 - 1
"""The greatest number that a setting may state, beside sizes of tensors, which `graftwork.specs.model_sizes` limits."""


class Kind(NamedTuple):
    """accepted: in words. allows: whether a value, which is not null, is accepted. optional: whether null is."""

    accepted: str
    allows: Callable[[Any], bool]
    optional: bool = False


def _whole(value: Any, most: int = MOST) -> bool:
    return _size(value) and value <= most


def _size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _several(value: Any, allows: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and bool(value) and all(map(allows, value))


def _extent(value: Any) -> bool:
    """Of images: one size, one for each side, or sides by name."""
    sides = list(value.values()) if isinstance(value, dict) else value
    return _whole(value) or _several(sides, lambda side: side is None or _whole(side))


COUNT = Kind(f"a whole number from 1 to {MOST:,}", _whole)
SIZE = Kind("a whole number from 1 on", _size)
SIZES = Kind("a list of whole numbers from 1 on", lambda value: _several(value, _size))
SIZE_OR_SIZES = Kind("whole numbers from 1 on", lambda value: _size(value) or _several(value, _size))
NUMBER = Kind("a number from 0 on", _number)
FACTOR = Kind("a number above 0", lambda value: _number(value) and value > 0, optional=True)
MEANS = Kind("a list of three numbers from 0 on", lambda value: _several(value, _number) and len(value) == 3, True)
DEVIATIONS = Kind("a list of three numbers above 0", lambda value: MEANS.allows(value) and all(value), optional=True)
EXTENT = Kind(f"whole numbers from 1 to {MOST:,}", _extent, optional=True)
FILTER = Kind("a number of Pillow's, 0 to 5", lambda value: value == 0 or _whole(value, 5), optional=True)
SWITCH = Kind("true or false", lambda value: isinstance(value, bool), optional=True)
WORD = Kind("a word", lambda value: isinstance(value, str) and bool(value))
LIMIT = Kind(SIZE.accepted, _size, optional=True)

SIZED = (
    "hidden_size num_attention_heads n_head n_heads n_embd dim d_model max_position_embeddings n_positions "
    "encoder_attention_heads encoder_ffn_dim num_mel_bins max_source_positions embed_dim embedding_size num_channels "
    "num_conv_pos_embeddings num_conv_pos_embedding_groups num_hidden_layers n_layer n_layers encoder_layers"
)
COUNTED = "sampling_rate feature_size n_fft hop_length chunk_length"

FIELDS: Mapping[str, Kind] = {
    **dict.fromkeys(("model_type", "hidden_act", "activation_function", "position_embedding_type"), WORD),
    **dict.fromkeys(SIZED.split(), SIZE),
    **dict.fromkeys(COUNTED.split(), COUNT),
    **dict.fromkeys(("hidden_sizes", "conv_kernel", "conv_stride", "conv_dim", "depths"), SIZES),
    **dict.fromkeys(("image_size", "patch_size"), SIZE_OR_SIZES),
    **dict.fromkeys(("layer_norm_eps", "layer_norm_epsilon", "hidden_dropout_prob", "hidden_dropout"), NUMBER),
    **dict.fromkeys(("attention_probs_dropout_prob", "attention_dropout", "activation_dropout"), NUMBER),
    **dict.fromkeys(("do_normalize", "do_resize", "do_rescale", "do_center_crop", "do_stable_layer_norm"), SWITCH),
    **dict.fromkeys(("do_lower_case", "pooling_mode_cls_token", "pooling_mode_mean_tokens"), SWITCH),
    **dict.fromkeys(("rescale_factor", "crop_pct"), FACTOR),
    **dict.fromkeys(("size", "crop_size"), EXTENT),
    "image_mean": MEANS,
    "image_std": DEVIATIONS,
    "resample": FILTER,
    **dict.fromkeys(("max_seq_length", "vocab_size"), LIMIT),  # encoders of sound may have no words
}
"""By the name of a setting, in whichever file it stands."""

INSIDE = ("feature_extractor", "image_processor")
"""Settings of processor_config.json that hold settings."""


def check_fields(file: Path, settings: Mapping[str, Any]) -> None:
    """Raises `DataError` that names the file, the setting, its value and what is accepted."""
    for name, kind in FIELDS.items():
        if name not in settings or (settings[name] is None and kind.optional):
            continue
        if settings[name] is None or not kind.allows(settings[name]):
            shown = json.dumps(settings[name])
            shown = shown if len(shown) <= 40 else f"{shown[:37]}..."
            raise DataError(
                f"'{file}' says that {name} is {shown}; {kind.accepted} is accepted.",
                "Mend the file, or save the model again: save_pretrained(FOLDER)",
            )
    for name in INSIDE:
        if isinstance(settings.get(name), dict):
            check_fields(file, settings[name])
