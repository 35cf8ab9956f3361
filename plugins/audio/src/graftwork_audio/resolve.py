"""Describes audio encoders in hub layout by their small config files; nothing here computes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from graftwork import ANY_HUB_WEIGHTS, BackboneSpec, DataError, InputContract, ModelFolder, limits
from graftwork_audio.families import WHOLE
from graftwork_audio.plugin import RECIPE, reads

# What config.json leaves out has these values (transformers' Wav2Vec2Config; a test compares).
DEFAULTS: Mapping[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "conv_kernel": (10, 3, 3, 3, 3, 2, 2),
    "conv_stride": (5, 2, 2, 2, 2, 2, 2),
    "do_stable_layer_norm": False,
}
WHISPER: Mapping[str, Any] = {"d_model": 384, "encoder_layers": 4}
FEATURES: Mapping[str, Any] = {"feature_size": 80, "n_fft": 400, "hop_length": 160, "chunk_length": 30}
"""The same of Whisper's log-mel frames (transformers' WhisperFeatureExtractor): bins, samples, samples, seconds."""
PARTS = ("add_adapter", "adapter_attn_dim", "conv_pos_batch_norm")
"""Settings of parts that no stage has."""


def wav2vec2(model: ModelFolder) -> BackboneSpec:
    """The spec of a wav2vec 2.0, HuBERT or WavLM encoder, from config.json and preprocessor_config.json.

    Raises `DataError` when the latter is missing or not what it should be, or when the model has parts that are not
    mapped.
    """
    for part in PARTS:
        if model.config.get(part):
            raise DataError(
                f"'{model.name}' sets {part} in its config.json; encoders without that part are accepted.",
                "Name another model.",
            )
    config = {**DEFAULTS, **model.config}
    return _waves(model, stages(config["num_hidden_layers"], stable=config["do_stable_layer_norm"]), "wav2vec2")


def whole(model: ModelFolder) -> BackboneSpec:
    """The spec of an encoder of waveforms whose layers are not mapped: transformers' model as one stage.

    Raises `DataError` when preprocessor_config.json is missing or not what it should be.
    """
    kind = WHOLE[model.config["model_type"]]
    note = f"The layers of {kind} are not mapped to stages yet, so it is one stage: it stays frozen or trains whole."
    return replace(_waves(model, ("model",), "whole"), note=note)


def whisper(model: ModelFolder) -> BackboneSpec:
    """The spec of the encoder of a Whisper model, from config.json and preprocessor_config.json.

    Raises `DataError` when the latter is missing or not what it should be.
    """
    config = {**WHISPER, **model.config}
    rate, settings = _preprocessing(model)
    frames = {name: settings.get(name, value) for name, value in FEATURES.items()}
    blocks = (f"block{number}" for number in range(1, config["encoder_layers"] + 1))
    return _spec(
        model,
        contract=reads(rate, frames["hop_length"] / rate, frames["chunk_length"], **frames),
        factory="graftwork_audio.whisper:build",
        stages=("stem", *blocks, "norm"),
        width=config["d_model"],
    )


def stages(layers: int, *, stable: bool) -> tuple[str, ...]:
    """The names of the stages; `stable` models (layer norm before each part) end in a norm of their own."""
    return ("stem", "position", *(f"block{number}" for number in range(1, layers + 1)), *(("norm",) if stable else ()))


def _waves(model: ModelFolder, stages: tuple[str, ...], module: str) -> BackboneSpec:
    config = {**DEFAULTS, **model.config}
    rate, settings = _preprocessing(model)
    needed = _receptive_field(config["conv_kernel"], config["conv_stride"])
    normalize = bool(settings.get("do_normalize", True))
    return _spec(
        model,
        contract=reads(rate, math.ceil(needed * 1000 / rate) / 1000, normalize=normalize),
        factory=f"graftwork_audio.{module}:build",
        stages=stages,
        width=config["hidden_size"],
    )


def _spec(
    model: ModelFolder, *, contract: InputContract, factory: str, stages: tuple[str, ...], width: int
) -> BackboneSpec:
    return BackboneSpec(
        name=model.name,
        contract=contract,
        factory=factory,
        weights=model.weights(*ANY_HUB_WEIGHTS),
        stages=stages,
        feature_dim=width,
        parameters=model.parameters(_is_encoder),
        license=model.license,
        source=model.source,
        pretrained_on=model.pretrained_on,
        config=model.config,
        recipe=RECIPE,
        views=("pooled",) if stages == ("model",) else ("pooled", "sequence"),
    )


def _preprocessing(model: ModelFolder) -> tuple[int, dict[str, Any]]:
    """The sampling rate in Hz, and all settings of the feature extractor."""
    file, settings = "preprocessor_config.json", model.read("preprocessor_config.json")
    if not settings and (unified := model.read("processor_config.json")):
        # What transformers 5 writes for a feature extractor that is saved together with its tokenizer.
        file, settings = "processor_config.json", unified.get("feature_extractor") or {}
    if not (model.folder / file).is_file():
        raise DataError(
            f"'{model.folder / file}' does not exist, so what the model was pretrained to read is not known.",
            "Save the model together with its feature extractor: feature_extractor.save_pretrained(FOLDER)",
        )
    rate = settings.get("sampling_rate")
    most = limits()
    if not isinstance(rate, int) or not most.audio_lowest_rate <= rate <= most.audio_highest_rate:
        raise DataError(
            f"'{model.folder / file}' states no sampling_rate, so what the model was pretrained to read is not known.",
            "Save the feature extractor again: feature_extractor.save_pretrained(FOLDER)",
        )
    return rate, settings


def _receptive_field(kernels: list[int], strides: list[int]) -> int:
    """Samples that one frame sees: 1 plus, per convolution, kernel - 1 times the product of the strides before it."""
    samples, jump = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        samples += (kernel - 1) * jump
        jump *= stride
    return samples


HEADS = (
    *("masked_spec_embed", "quantizer", "project_q", "project_hid", "lm_head", "classifier", "projector", "final_proj"),
    *("label_embeddings", "layer_weights", "tdnn", "decoder.", "proj_out"),
)
"""What the names of tensors hold that belong to pretraining, to a head or to a decoder."""


def _is_encoder(key: str) -> bool:
    return not any(head in key for head in HEADS)
