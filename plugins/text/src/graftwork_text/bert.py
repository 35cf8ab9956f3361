"""BERT encoders as stages: embeddings, then one stage per layer."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoTokenizer, BertConfig, BertModel
from transformers.utils import logging

from graftwork import Apply, Backbone, BackboneSpec, Stage, State, UsageError, WeightsMismatch, Window, masked_mean
from graftwork_text.tokenizer import digest


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
            # A copy that never cuts, to see how long a text is.
            self._measure = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
            self._measure.no_truncation()
            self._measure.no_padding()
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

    def windows(self, value: str) -> list[Window]:
        """A text over `max_length` tokens in parts of at most that many, cut between words; shares by characters."""
        room = self.spec.preparation["max_length"] - self.tokenizer.num_special_tokens_to_add()
        # A character becomes at most 4 tokens (canonical decomposition, UAX 15), so a short text need not be read.
        if 4 * len(value) <= room:
            return [Window(value, 1.0)]
        found = self._measure.encode(value, add_special_tokens=False)
        starts = [0]
        while len(found.ids) - starts[-1] > room:
            end = starts[-1] + room
            words = range(end, starts[-1], -1)
            starts.append(next((i for i in words if found.word_ids[i] != found.word_ids[i - 1]), end))
        cuts = [0, *(found.offsets[start][0] for start in starts[1:]), len(value)]
        parts = [value[a:b] for a, b in itertools.pairwise(cuts)]
        return [Window(part, len(part) / len(value)) for part in parts]

    def pool(self, state: State) -> Tensor:
        pooled = state.hidden[:, 0].float() if self.spec.config.get("pooling") == "first" else masked_mean(state)
        return nn.functional.normalize(pooled, dim=-1) if self.spec.config.get("unit_length") else pooled


def build(spec: BackboneSpec, weights: Path | None) -> Bert:
    """Load from a folder in hub layout; without weights, random ones of the shape in `spec.config["model"]`.

    Raises `WeightsMismatch` when the tokenizer is not the one that the contract names, or knows more tokens than the
    weights do. Where the contract names none, that of the folder is taken into it.
    """
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
    tokenizer = AutoTokenizer.from_pretrained(weights, local_files_only=True)
    return Bert(_bound(spec, weights, model, len(tokenizer)), model, tokenizer)


def _bound(spec: BackboneSpec, folder: Path, model: BertModel, tokens: int) -> BackboneSpec:
    """The spec with the tokenizer of the folder in its contract: weights mean nothing with another one."""
    found, stated = digest(folder), spec.preparation.get("tokenizer")
    if stated not in (None, found):
        raise WeightsMismatch(
            f"The tokenizer in '{folder}' (digest {found[:12]}…) is not the one that '{spec.name}' was pretrained with "
            f"({stated[:12]}…).",
            "Restore its vocabulary and tokenizer files, or fetch the model again.",
        )
    if tokens > model.config.vocab_size:
        raise WeightsMismatch(
            f"The tokenizer in '{folder}' knows {tokens} tokens and the weights {model.config.vocab_size}, so they are "
            "not of one model.",
            "Restore its vocabulary and tokenizer files, or fetch the model again.",
        )
    contract = dataclasses.replace(spec.contract, preparation={**spec.preparation, "tokenizer": found})
    return dataclasses.replace(spec, contract=contract)
