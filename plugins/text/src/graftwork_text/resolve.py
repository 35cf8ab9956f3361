"""Describes encoders of texts in hub layout by their small config files; nothing here computes."""

from __future__ import annotations

from graftwork import ANY_HUB_WEIGHTS, HUB_WEIGHTS, BackboneSpec, DataError, ModelFolder
from graftwork_text.families import FAMILIES, GPT2, WHOLE
from graftwork_text.plugin import reads, recipe, stages
from graftwork_text.tokenizer import digest, lowers

POOLINGS = {"cls": "first", "mean": "mean", "lasttoken": "last"}
"""sentence-transformers' words for the vector that stands for a text, and ours."""
OLD_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
"""Its settings before it had words for them."""


def bert(model: ModelFolder) -> BackboneSpec:
    """The spec of a BERT, DistilBERT or RoBERTa encoder, with sentence-transformers' pooling where it says so.

    Raises `DataError` when the tokenizer is missing.
    """
    family = FAMILIES[model.config["model_type"]]
    config = family.settings(model.config)
    return _spec(
        model,
        factory="graftwork_text.bert:build",
        files=(HUB_WEIGHTS,),
        stages=stages(config["num_hidden_layers"]),
        width=config["hidden_size"],
        longest=config["max_position_embeddings"] - family.first_position(config),
    )


def gpt2(model: ModelFolder) -> BackboneSpec:
    """The spec of a GPT-2 decoder, whose last token stands for a text.

    Raises `DataError` when the tokenizer is missing.
    """
    config = {**GPT2, **model.config}
    return _spec(
        model,
        factory="graftwork_text.gpt2:build",
        files=(HUB_WEIGHTS,),
        stages=(*stages(config["n_layer"]), "norm"),
        width=config["n_embd"],
        longest=config["n_positions"],
        pooling="last",
    )


def whole(model: ModelFolder) -> BackboneSpec:
    """The spec of an encoder whose layers are not mapped: transformers' model as one stage.

    Raises `DataError` when the tokenizer, or what its config.json must say of its sizes, is missing.
    """
    kind, pooling = WHOLE[model.config["model_type"]]
    width, longest = (model.config.get(name) for name in ("hidden_size", "max_position_embeddings"))
    if width is None or longest is None:
        raise DataError(
            f"The config.json of '{model.name}' does not say hidden_size and max_position_embeddings, so it cannot be "
            "described.",
            "Save the model again with transformers: model.save_pretrained(FOLDER)",
        )
    return _spec(
        model,
        factory="graftwork_text.whole:build",
        files=ANY_HUB_WEIGHTS,
        stages=("model",),
        width=width,
        longest=longest,
        pooling=pooling,
        note=f"The layers of {kind} are not mapped to stages yet, so it is one stage: it stays frozen or trains whole.",
    )


def _spec(
    model: ModelFolder,
    *,
    factory: str,
    files: tuple[str, ...],
    stages: tuple[str, ...],
    width: int,
    longest: int,
    pooling: str = "mean",
    note: str = "",
) -> BackboneSpec:
    model.want("tokenizer.json|vocab.txt")
    limit = model.read("sentence_bert_config.json").get("max_seq_length")
    said, odd = _pooling(model)
    return BackboneSpec(
        name=model.name,
        contract=reads(
            lower=lowers(model.folder), max_length=min(limit or longest, longest), tokenizer=digest(model.folder)
        ),
        factory=factory,
        weights=model.weights(*files),
        stages=stages,
        feature_dim=width,
        parameters=model.parameters(_is_encoder),
        license=model.license,
        source=model.source,
        pretrained_on=model.pretrained_on,
        survey="graftwork_text.vocabulary:build",
        views=("pooled", "sequence"),
        recipe=recipe(2e-5 if width >= 768 else 5e-5),
        config={
            "model": model.config,
            "unit_length": (model.folder / "2_Normalize").is_dir(),
            "pooling": said or pooling,
        },
        note=" ".join(filter(None, (note, odd))),
    )


def _pooling(model: ModelFolder) -> tuple[str, str]:
    """The vector that stands for a text where sentence-transformers' files say it, and what of them is not built."""
    said = model.read("1_Pooling/config.json")
    modes = said.get("pooling_mode") or [word for key, word in OLD_POOLINGS.items() if said.get(key)]
    modes = [modes] if isinstance(modes, str) else modes
    odd = [f"the pooling {mode}" for mode in modes if mode not in POOLINGS or len(modes) > 1]
    odd += ["a dense layer"] if (model.folder / "2_Dense").is_dir() else []
    note = f"It was trained with {' and '.join(odd)}, which is not built: a plainer vector stands for a text."
    return POOLINGS.get(modes[0], "") if len(modes) == 1 else "", note if odd else ""


HEADS = ("pooler", "cls.", "lm_head", "vocab_", "predictions", "classifier", "score", "qa_outputs")
"""What the names of tensors hold that belong to a head, not to the encoder."""
CONSTANTS = ("position_ids", ".attn.bias", ".attn.masked_bias")
"""How those end that hold no parameters."""


def _is_encoder(key: str) -> bool:
    return not any(head in key for head in HEADS) and not key.endswith(CONSTANTS)
