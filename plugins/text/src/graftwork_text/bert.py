"""BERT encoders as stages: embeddings, then one stage per layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import AutoTokenizer, BertConfig, BertModel
from transformers.utils import logging

from graftwork import Apply, Backbone, BackboneSpec, Stage, State, UsageError, masked_mean


class Block(Stage):
    """One transformer layer; padding is masked out of the attention."""

    def __init__(self, name: str, layer: nn.Module) -> None:
        super().__init__(name)
        self.layer = layer

    def forward(self, state: State) -> State:
        return State(self.layer(state.hidden, state.attention_bias()), state.mask)


class Bert(Backbone):
    """pool: the mean over real tokens (or the first token's vector), scaled to length 1 where pretraining did so."""

    batch_size = 6_000

    def __init__(self, spec: BackboneSpec, model: BertModel, tokenizer: Any) -> None:
        blocks = [Block(f"block{i + 1}", layer) for i, layer in enumerate(model.encoder.layer)]
        super().__init__(
            spec, [Apply("embeddings", model.embeddings), *blocks], [model.config.hidden_size] * (len(blocks) + 1)
        )
        self.tokenizer = tokenizer
        if tokenizer is not None:
            # The first call writes its settings into the tokenizer, which must not happen in two threads at once.
            self.prepare(["first"])

    def prepare(self, values: list[str]) -> State:
        """Texts to token ids `(B, T)` int64 with their mask; texts over `max_length` tokens are cut at the end."""
        if self.tokenizer is None:
            raise UsageError(
                f"'{self.spec.name}' was built without weights, so it has no tokenizer.", "Load it with its weights."
            )
        longest = self.spec.preparation["max_length"]
        encoded = self.tokenizer(values, padding=True, truncation=True, max_length=longest, return_tensors="pt")
        mask = encoded["attention_mask"].bool()
        return State(encoded["input_ids"], None if bool(mask.all()) else mask)

    def pool(self, state: State) -> Tensor:
        pooled = state.hidden[:, 0].float() if self.spec.config.get("pooling") == "first" else masked_mean(state)
        return nn.functional.normalize(pooled, dim=-1) if self.spec.config.get("unit_length") else pooled


def build(spec: BackboneSpec, weights: Path | None) -> Bert:
    """Load from a folder in hub layout; without weights, random ones of the shape in `spec.config["model"]`."""
    if weights is None:
        shape = {
            "num_hidden_layers": len(spec.stages) - 1,
            "hidden_size": spec.feature_dim,
            **spec.config.get("model", {}),
        }
        return Bert(spec, BertModel(BertConfig(**shape), add_pooling_layer=False), None)
    # The library reports the pretraining heads that are left behind; there is nothing in it for a user.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model = BertModel.from_pretrained(weights, add_pooling_layer=False, local_files_only=True, use_safetensors=True)
    return Bert(spec, model, AutoTokenizer.from_pretrained(weights, local_files_only=True))
