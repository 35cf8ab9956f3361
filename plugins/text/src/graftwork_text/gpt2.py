"""GPT-2 as stages (Radford et al. 2019). A token sees those before it alone, so its last one has read all of a text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from graftwork import Apply, BackboneSpec, PluginFault, Stage, State, read_json
from graftwork_text.bert import ACTIVATIONS, draw, table
from graftwork_text.families import GPT2
from graftwork_text.filling import filled
from graftwork_text.tokens import TextEncoder, bound

UNREAD = {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False}
"""Settings that are built with these values alone."""

EMBEDDINGS = {"wte": "words", "wpe": "positions"}
LAYER = {
    "ln_1": "norm1",
    "attn.c_attn": "read",
    "attn.c_proj": "attended",
    "ln_2": "norm2",
    "mlp.c_fc": "up",
    "mlp.c_proj": "down",
}
NORM = {"ln_f": "body.0"}
"""transformers' names of the parts, and ours."""


class Embeddings(Stage):
    """Token ids `(B, T)` to vectors `(B, T, D)`: words and places, added."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__("embeddings")
        self.words = table(config["vocab_size"], config["n_embd"])
        self.positions = table(config["n_positions"], config["n_embd"])
        self.dropout = nn.Dropout(config["embd_pdrop"])

    def forward(self, state: State) -> State:
        placed = self.words(state.hidden) + self.positions.weight[: state.hidden.shape[1]]
        return State(self.dropout(placed), state.mask)


class Block(Stage):
    """One transformer layer, normalised before each half. Padding stands after a text, where no token of it looks."""

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        super().__init__(name)
        width, eps = config["n_embd"], config["layer_norm_epsilon"]
        inner = config["n_inner"] or 4 * width
        self.heads = config["n_head"]
        self.attention_dropout = config["attn_pdrop"]
        self.activation = ACTIVATIONS[config["activation_function"]]
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.read = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)
        self.dropout = nn.Dropout(config["resid_pdrop"])

    def forward(self, state: State) -> State:
        hidden = state.hidden
        parts = (p.unflatten(2, (self.heads, -1)).transpose(1, 2) for p in self.read(self.norm1(hidden)).chunk(3, 2))
        dropout = self.attention_dropout if self.training else 0.0
        seen = functional.scaled_dot_product_attention(*parts, is_causal=True, dropout_p=dropout)
        hidden = hidden + self.dropout(self.attended(seen.transpose(1, 2).flatten(2)))
        inner = self.down(self.activation(self.up(self.norm2(hidden))))
        return State(hidden + self.dropout(inner), state.mask)


def build(spec: BackboneSpec, weights: Path | None) -> TextEncoder:
    """Load from a folder in hub layout; without weights, random ones of the shape in `spec.config["model"]`.

    Raises `WeightsMismatch` when the weights are not those of such a model or the tokenizer is not theirs, and
    `PluginFault` for settings that are not built.
    """
    config = {**GPT2, **(read_json(weights / "config.json") if weights else spec.config.get("model", {}))}
    odd = [name for name, value in UNREAD.items() if config.get(name, value) != value]
    if odd or config["activation_function"] not in ACTIVATIONS:
        what = f"sets {odd[0]}" if odd else f"has activation_function {config['activation_function']}"
        raise PluginFault(
            f"'{spec.name}' {what}; GPT-2's own settings and {', '.join(ACTIVATIONS)} can be built.",
            "Choose another encoder: graftwork backbones --modality text",
        )
    if weights is None:
        return TextEncoder(spec, _stages(config), config["n_embd"]).apply(draw)
    spec, tokenizer = bound(spec, weights, config["vocab_size"])
    with torch.device("meta"):
        encoder = TextEncoder(spec, _stages(config), config["n_embd"], tokenizer)
    layers = range(config["n_layer"])
    return filled(
        encoder,
        weights,
        "transformer.",
        places=["", *(f"h.{number}." for number in layers), ""],
        names=[EMBEDDINGS, *[LAYER] * len(layers), NORM],
        turned=frozenset(("read", "attended", "up", "down")),
    )


def _stages(config: Mapping[str, Any]) -> list[Stage]:
    blocks = [Block(f"block{i + 1}", config) for i in range(config["n_layer"])]
    norm = nn.LayerNorm(config["n_embd"], eps=config["layer_norm_epsilon"])
    return [Embeddings(config), *blocks, Apply("norm", norm)]
