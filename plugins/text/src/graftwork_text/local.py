"""Makes a backbone of a folder in hub layout, reading its small config files only."""

from __future__ import annotations

from pathlib import Path

from graftwork import BackboneSpec, FolderWeights
from graftwork.layout import WEIGHTS, count_parameters, read_json, want_files
from graftwork_text.plugin import reads, recipe, stages
from graftwork_text.tokenizer import digest, lowers

SHAPE = ("vocab_size", "intermediate_size", "num_attention_heads", "max_position_embeddings", "type_vocab_size")


def resolve(name: str, folder: Path) -> BackboneSpec:
    """The spec of a BERT encoder in `folder`, with sentence-transformers' pooling where it says so.

    Raises `DataError` when the weights or the tokenizer are missing.
    """
    want_files(name, folder, WEIGHTS, "tokenizer_config.json")
    config = read_json(folder / "config.json")
    pooling = read_json(folder / "1_Pooling" / "config.json")
    longest = read_json(folder / "sentence_bert_config.json").get("max_seq_length")
    return BackboneSpec(
        name=name,
        contract=reads(
            lower=lowers(folder),
            max_length=longest or config["max_position_embeddings"],
            tokenizer=digest(folder),
        ),
        factory="graftwork_text.bert:build",
        weights=FolderWeights(folder, size_bytes=(folder / WEIGHTS).stat().st_size),
        stages=stages(config["num_hidden_layers"]),
        feature_dim=config["hidden_size"],
        parameters=count_parameters(folder, _is_encoder),
        license="as its owner states",
        source=str(folder),
        pretrained_on="as its owner states",
        recipe=recipe(2e-5 if config["hidden_size"] >= 768 else 5e-5),
        config={
            # What a model without these weights is built from.
            "model": {name: config[name] for name in SHAPE if name in config},
            "unit_length": (folder / "2_Normalize").is_dir(),
            "pooling": "first" if pooling.get("pooling_mode_cls_token") else "mean",
        },
    )


def _is_encoder(key: str) -> bool:
    return "pooler" not in key and not key.startswith("cls.") and not key.endswith("position_ids")
