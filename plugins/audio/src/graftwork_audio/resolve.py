"""Describes a wav2vec 2.0 model in a folder out of its small config files; nothing here computes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graftwork import BackboneSpec, DataError, FolderWeights
from graftwork.layout import read_json
from graftwork_audio.plugin import RECIPE, reads

# What config.json leaves out has these values (transformers' Wav2Vec2Config; a test compares).
DEFAULTS: Mapping[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "intermediate_size": 3072,
    "conv_dim": (512, 512, 512, 512, 512, 512, 512),
    "conv_kernel": (10, 3, 3, 3, 3, 2, 2),
    "conv_stride": (5, 2, 2, 2, 2, 2, 2),
    "conv_bias": False,
    "feat_extract_norm": "group",
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
    "do_stable_layer_norm": False,
    "add_adapter": False,
    "adapter_attn_dim": None,
}


def wav2vec2(name: str, folder: Path) -> BackboneSpec:
    """The spec of the model in `folder`, from config.json and preprocessor_config.json.

    Raises `DataError` when either is missing or not what it should be, or when the model has parts that are not mapped.
    """
    config = {**DEFAULTS, **_json(folder / "config.json")}
    for part in ("add_adapter", "adapter_attn_dim"):
        if config[part]:
            raise DataError(
                f"'{name}' sets {part} in its config.json; wav2vec 2.0 encoders without adapters are accepted.",
                "Name another model.",
            )
    rate, normalize = _preprocessing(folder)
    needed = _receptive_field(config["conv_kernel"], config["conv_stride"])
    return BackboneSpec(
        name=name,
        contract=reads(rate, math.ceil(needed * 1000 / rate) / 1000, normalize=normalize),
        factory="graftwork_audio.wav2vec2:build",
        weights=FolderWeights(folder, size_bytes=_weight_bytes(folder)),
        stages=stages(config["num_hidden_layers"], stable=config["do_stable_layer_norm"]),
        feature_dim=config["hidden_size"],
        parameters=_parameters(config),
        license="as its owner states",
        source=str(folder),
        pretrained_on="as its owner states",
        config={"folder": str(folder)},
        recipe=RECIPE,
    )


def stages(layers: int, *, stable: bool) -> tuple[str, ...]:
    """The names of the stages; `stable` models (layer norm before each part) end in a norm of their own."""
    return ("stem", "position", *(f"block{number}" for number in range(1, layers + 1)), *(("norm",) if stable else ()))


def _preprocessing(folder: Path) -> tuple[int, bool]:
    """The sampling rate in Hz, and whether clips are normalised."""
    file = folder / "preprocessor_config.json"
    unified = folder / "processor_config.json"
    if not file.is_file() and unified.is_file():
        # What transformers 5 writes for a feature extractor that is saved together with its tokenizer.
        file, settings = unified, _json(unified).get("feature_extractor") or {}
    else:
        settings = _json(file)
    rate = settings.get("sampling_rate")
    if not isinstance(rate, int) or rate <= 0:
        raise DataError(
            f"'{file}' states no sampling_rate, so what the model was pretrained to read is not known.",
            "Save the feature extractor again: feature_extractor.save_pretrained(FOLDER)",
        )
    return rate, bool(settings.get("do_normalize", True))


def _json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise DataError(
            f"'{file}' does not exist, so what the model was pretrained to read is not known.",
            "Save the model together with its feature extractor: feature_extractor.save_pretrained(FOLDER)",
        )
    return read_json(file)


def _weight_bytes(folder: Path) -> int:
    files = list(folder.glob("*.safetensors")) or list(folder.glob("pytorch_model*.bin"))
    return sum(file.stat().st_size for file in files)


def _receptive_field(kernels: list[int], strides: list[int]) -> int:
    """Samples that one frame sees: 1 plus, per convolution, kernel - 1 times the product of the strides before it."""
    samples, jump = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        samples += (kernel - 1) * jump
        jump *= stride
    return samples


def _parameters(config: Mapping[str, Any]) -> int:
    """How many numbers the encoder owns, counted layer by layer; a file may hold pretraining heads besides."""
    hidden, inner, convolutions = config["hidden_size"], config["intermediate_size"], config["conv_dim"]
    total, channels = 0, 1
    for number, (out, kernel) in enumerate(zip(convolutions, config["conv_kernel"], strict=True)):
        normed = config["feat_extract_norm"] == "layer" or number == 0
        total += channels * out * kernel + (out if config["conv_bias"] else 0) + (2 * out if normed else 0)
        channels = out
    projection = 2 * channels + channels * hidden + hidden
    kernel, groups = config["num_conv_pos_embeddings"], config["num_conv_pos_embedding_groups"]
    position = hidden * (hidden // groups) * kernel + kernel + hidden
    norm = 2 * hidden
    block = 4 * (hidden * hidden + hidden) + 2 * norm + hidden * inner + inner + inner * hidden + hidden
    return total + projection + position + norm + config["num_hidden_layers"] * block
