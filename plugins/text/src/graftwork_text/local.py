"""Makes a backbone of a folder in hub layout, reading its small config files only."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from graftwork import BackboneSpec, DataError, FolderWeights
from graftwork_text.plugin import CONTRACT, stages


def resolve(name: str, folder: Path) -> BackboneSpec:
    """The spec of a BERT encoder in `folder`. Raises `DataError` when weights or tokenizer are missing."""
    weights = folder / "model.safetensors"
    for wanted in (weights, folder / "tokenizer_config.json"):
        if not wanted.is_file():
            raise DataError(
                f"'{name}' has no {wanted.name}.", "Save model and tokenizer into the folder: save_pretrained(FOLDER)"
            )
    config = _json(folder / "config.json")
    pooling = _json(folder / "1_Pooling" / "config.json")
    longest = _json(folder / "sentence_bert_config.json").get("max_seq_length") or config["max_position_embeddings"]
    return BackboneSpec(
        name=name,
        contract=CONTRACT,
        factory="graftwork_text.bert:build",
        weights=FolderWeights(folder, size_bytes=weights.stat().st_size),
        stages=stages(config["num_hidden_layers"]),
        feature_dim=config["hidden_size"],
        parameters=_parameters(weights),
        license="as its owner states",
        source=str(folder),
        pretrained_on="as its owner states",
        preparation={"max_length": longest},
        config={
            "unit_length": (folder / "2_Normalize").is_dir(),
            "pooling": "first" if pooling.get("pooling_mode_cls_token") else "mean",
        },
    )


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _parameters(weights: Path) -> int:
    """Numbers in the encoder, from the header alone (format: safetensors' README): no pooler, no pretraining heads."""
    with weights.open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    total = 0
    for key, tensor in header.items():
        if (
            key != "__metadata__"
            and "pooler" not in key
            and not key.startswith("cls.")
            and tensor["dtype"].startswith(("F", "BF"))
        ):
            count = 1
            for length in tensor["shape"]:
                count *= length
            total += count
    return total
