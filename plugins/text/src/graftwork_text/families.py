"""Which model types are read, and what transformers calls their parts: tables, so that nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

BERT: Mapping[str, Any] = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}
"""BERT base: what a field means that config.json leaves out."""

LAYER = {
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "attended",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "norm2",
}
EMBEDDINGS = {
    "word_embeddings": "words",
    "position_embeddings": "positions",
    "token_type_embeddings": "types",
    "LayerNorm": "norm",
}


@dataclass(frozen=True)
class Family:
    """Encoders that are BERT by another name.

    prefix: what the names of tensors begin with in a file that holds a head too. layers: where the layers are.
    layer, embeddings: transformers' names of the parts, and ours. fields: its names of settings, and BERT's.
    defaults: what a setting means that config.json leaves out. padded: whether places are counted from after the
    number of the padding token (RoBERTa) instead of from 0.
    """

    prefix: str
    layers: str = "encoder.layer."
    layer: Mapping[str, str] = field(default_factory=lambda: LAYER)
    embeddings: Mapping[str, str] = field(default_factory=lambda: EMBEDDINGS)
    fields: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=lambda: BERT)
    padded: bool = False

    def settings(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Every setting, by BERT's names, of a model whose config.json says `said`."""
        given = {self.fields.get(name, name): value for name, value in said.items()}
        return {**self.defaults, **given}

    def first_position(self, settings: Mapping[str, Any]) -> int:
        """The row of the table of places that the first token takes."""
        return settings["pad_token_id"] + 1 if self.padded else 0


ROBERTA = Family("roberta.", defaults={**BERT, "pad_token_id": 1}, padded=True)
DISTILBERT = Family(
    "distilbert.",
    layers="transformer.layer.",
    layer={
        "attention.q_lin": "query",
        "attention.k_lin": "key",
        "attention.v_lin": "value",
        "attention.out_lin": "attended",
        "sa_layer_norm": "norm1",
        "ffn.lin1": "up",
        "ffn.lin2": "down",
        "output_layer_norm": "norm2",
    },
    embeddings={"word_embeddings": "words", "position_embeddings": "positions", "LayerNorm": "norm"},
    fields={
        "dim": "hidden_size",
        "n_heads": "num_attention_heads",
        "n_layers": "num_hidden_layers",
        "hidden_dim": "intermediate_size",
        "activation": "hidden_act",
        "dropout": "hidden_dropout_prob",
        "attention_dropout": "attention_probs_dropout_prob",
    },
    defaults={**BERT, "num_hidden_layers": 6, "type_vocab_size": 0},
)

FAMILIES: Mapping[str, Family] = {
    "bert": Family("bert."),
    "camembert": ROBERTA,
    "distilbert": DISTILBERT,
    "roberta": replace(ROBERTA, defaults={**ROBERTA.defaults, "vocab_size": 50265}),
    "xlm-roberta": ROBERTA,
}
"""By model type; MiniLM's is bert."""

GPT2: Mapping[str, Any] = {
    "vocab_size": 50257,
    "n_positions": 1024,
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "n_inner": None,
    "activation_function": "gelu_new",
    "embd_pdrop": 0.1,
    "resid_pdrop": 0.1,
    "attn_pdrop": 0.1,
    "layer_norm_epsilon": 1e-5,
}
"""GPT-2: what a field means that config.json leaves out."""

WHOLE: Mapping[str, tuple[str, str]] = {
    "albert": ("AlbertModel", "mean"),
    "deberta": ("DebertaModel", "mean"),
    "deberta-v2": ("DebertaV2Model", "mean"),
    "electra": ("ElectraModel", "mean"),
    "ernie": ("ErnieModel", "mean"),
    "gpt_neo": ("GPTNeoModel", "last"),
    "gpt_neox": ("GPTNeoXModel", "last"),
    "llama": ("LlamaModel", "last"),
    "mistral": ("MistralModel", "last"),
    "modernbert": ("ModernBertModel", "mean"),
    "mpnet": ("MPNetModel", "mean"),
    "opt": ("OPTModel", "last"),
    "qwen2": ("Qwen2Model", "last"),
    "qwen3": ("Qwen3Model", "last"),
    "roformer": ("RoFormerModel", "mean"),
}
"""Types whose layers have no stages here yet: transformers' class for each, and the vector that stands for a text."""
