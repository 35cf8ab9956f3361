"""Encoders of texts whose layers are not mapped to stages yet: transformers' own model as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers

from graftwork import BackboneSpec, Stage, State, load_pretrained
from graftwork_text.families import WHOLE
from graftwork_text.tokens import TextEncoder, bound


class Whole(Stage):
    """Token ids `(B, T)` to vectors `(B, T, D)` by the whole model."""

    def __init__(self, model: Any) -> None:
        super().__init__("model")
        self.model = model

    def forward(self, state: State) -> State:
        mask = None if state.mask is None else state.mask.long()
        return State(self.model(input_ids=state.hidden, attention_mask=mask).last_hidden_state, state.mask)


def build(spec: BackboneSpec, weights: Path | None) -> TextEncoder:
    """Load from a folder in hub layout, or with random weights of the shape in its config.json.

    Raises `WeightsMismatch` when the weights are not those of such a model or the tokenizer is not theirs.
    """
    kind, _ = WHOLE[spec.config["model"]["model_type"]]
    unused = ("pooler.dense.weight", "pooler.dense.bias", "pooler.weight", "pooler.bias")
    model: Any = load_pretrained(getattr(transformers, kind), weights, shape=spec.config["model"], unused=unused)
    if hasattr(model, "pooler"):
        model.pooler = None  # it is trained for another task, or never was
    model.config.use_cache = False
    tokenizer = None
    if weights is not None:
        spec, tokenizer = bound(spec, weights, model.config.vocab_size)
    return TextEncoder(spec, [Whole(model)], spec.feature_dim, tokenizer)
