"""BERT encoders as stages (Devlin et al. 2019, arXiv:1810.04805), and those that are BERT by another name.

The layers are written on torch alone and take their weights from files in transformers' layout: importing that library
costs more time than running a small encoder over a thousand messages does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from graftwork import BackboneSpec, PluginFault, Stage, State, read_json
from graftwork_text.families import FAMILIES, Family
from graftwork_text.filling import filled
from graftwork_text.tokens import TextEncoder, bound

ACTIVATIONS = {
    "gelu": functional.gelu,
    "gelu_new": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
}
"""By the names that transformers gives them."""


class Embeddings(Stage):
    """Token ids `(B, T)` to vectors `(B, T, D)`: words, places (from row `first` on) and, where there are
    any, the first kind of segment, added and normalised."""

    def __init__(self, config: dict[str, Any], first: int) -> None:
        super().__init__("embeddings")
        width = config["hidden_size"]
        self.first = first
        self.words = table(config["vocab_size"], width)
        self.positions = table(config["max_position_embeddings"], width)
        self.types = table(config["type_vocab_size"], width) if config["type_vocab_size"] else None
        self.norm = nn.LayerNorm(width, eps=config["layer_norm_eps"])
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])

    def forward(self, state: State) -> State:
        beside = self.positions.weight[self.first : self.first + state.hidden.shape[1]]
        if self.types is not None:
            beside = beside + self.types.weight[0]
        return State(self.dropout(self.norm(self.words(state.hidden) + beside)), state.mask)


class Block(Stage):
    """One transformer layer, normalised after each half; padding is never attended to."""

    def __init__(self, name: str, config: dict[str, Any]) -> None:
        super().__init__(name)
        width, inner, eps = config["hidden_size"], config["intermediate_size"], config["layer_norm_eps"]
        self.heads = config["num_attention_heads"]
        self.attention_dropout = config["attention_probs_dropout_prob"]
        self.activation = ACTIVATIONS[config["hidden_act"]]
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.attended = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])

    def forward(self, state: State) -> State:
        hidden = state.hidden
        projections = (self.query, self.key, self.value)
        parts = (part(hidden).unflatten(2, (self.heads, -1)).transpose(1, 2) for part in projections)
        mask = None if state.mask is None else state.mask[:, None, None, :]
        dropout = self.attention_dropout if self.training else 0.0
        seen = functional.scaled_dot_product_attention(*parts, attn_mask=mask, dropout_p=dropout)
        hidden = self.norm1(hidden + self.dropout(self.attended(seen.transpose(1, 2).flatten(2))))
        inner = self.down(self.activation(self.up(hidden)))
        return State(self.norm2(hidden + self.dropout(inner)), state.mask)


def build(spec: BackboneSpec, weights: Path | None) -> TextEncoder:
    """Load from a folder in hub layout; without weights, random ones of the shape in `spec.config["model"]`.

    Raises `WeightsMismatch` when the weights are not those of such a model, or the tokenizer is not the one that the
    contract names, or knows more tokens than the weights do. Where the contract names none, that of the folder is taken
    into it.
    """
    if weights is None:
        said = spec.config.get("model", {})
        family = FAMILIES[said.get("model_type", "bert")]
        shape = {"num_hidden_layers": len(spec.stages) - 1, "hidden_size": spec.feature_dim}
        config = _checked(spec, {**family.settings(said), **shape})
        return TextEncoder(spec, _stages(config, family), config["hidden_size"]).apply(draw)
    said = read_json(weights / "config.json")
    family = FAMILIES[said.get("model_type", "bert")]
    config = _checked(spec, family.settings(said))
    spec, tokenizer = bound(spec, weights, config["vocab_size"])
    # On "meta" a model has shapes only: numbers that a file replaces are not drawn.
    with torch.device("meta"):
        encoder = TextEncoder(spec, _stages(config, family), config["hidden_size"], tokenizer)
    names = [family.embeddings, *[family.layer] * (len(spec.stages) - 1)]
    places = ["embeddings.", *(f"{family.layers}{number}." for number in range(len(spec.stages) - 1))]
    return filled(encoder, weights, family.prefix, places, names)


def table(rows: int, width: int) -> nn.Embedding:
    """Vectors by number, `(rows, width)`, not drawn yet: to draw on "meta", torch loads its compiler (seconds)."""
    return nn.Embedding.from_pretrained(torch.empty(rows, width), freeze=False)


def draw(module: nn.Module) -> None:
    """Normal with a deviation of 0.02, as BERT's own initialisation is."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def _stages(config: dict[str, Any], family: Family) -> list[Stage]:
    blocks = [Block(f"block{i + 1}", config) for i in range(config["num_hidden_layers"])]
    return [Embeddings(config, family.first_position(config)), *blocks]


def _checked(spec: BackboneSpec, config: dict[str, Any]) -> dict[str, Any]:
    positions = config.get("position_embedding_type", "absolute")
    if config["hidden_act"] not in ACTIVATIONS or positions != "absolute":
        raise PluginFault(
            f"'{spec.name}' has hidden_act {config['hidden_act']} and positions {positions}; absolute positions and "
            f"{', '.join(ACTIVATIONS)} can be built.",
            "Choose another encoder: graftwork backbones --modality text",
        )
    return config
