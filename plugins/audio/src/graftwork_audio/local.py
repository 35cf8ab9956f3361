"""Makes a backbone of a folder in hub layout, reading its small config files only."""

from __future__ import annotations

from pathlib import Path

from graftwork import BackboneSpec, FolderWeights
from graftwork.layout import WEIGHTS, count_parameters, read_json, want_files
from graftwork_audio.plugin import contract, stages


def resolve(name: str, folder: Path) -> BackboneSpec:
    """The spec of a wav2vec2 encoder in `folder`.

    Raises `DataError` when the weights or preprocessor_config.json are missing: the rate would have to be guessed.
    """
    want_files(name, folder, WEIGHTS, "preprocessor_config.json")
    config = read_json(folder / "config.json")
    prepared = read_json(folder / "preprocessor_config.json")
    rate = int(prepared["sampling_rate"])
    return BackboneSpec(
        name=name,
        contract=contract(rate, shortest=_receptive_field(config["conv_kernel"], config["conv_stride"]) / rate),
        factory="graftwork_audio.wav2vec2:build",
        weights=FolderWeights(folder, size_bytes=(folder / WEIGHTS).stat().st_size),
        stages=stages(config["num_hidden_layers"], stable=config.get("do_stable_layer_norm", False)),
        feature_dim=config["hidden_size"],
        parameters=count_parameters(folder, _is_encoder),
        license="as its owner states",
        source=str(folder),
        pretrained_on="as its owner states",
        preparation={"normalize": bool(prepared.get("do_normalize", True))},
    )


def _receptive_field(kernels: list[int], strides: list[int]) -> int:
    """Samples that one frame sees: the least that gives a frame."""
    samples = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples


def _is_encoder(key: str) -> bool:
    return not key.startswith(("quantizer", "project_", "lm_head", "projector", "classifier"))
