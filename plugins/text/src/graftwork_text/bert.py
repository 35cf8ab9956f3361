"""BERT encoders as stages (Devlin et al. 2019, arXiv:1810.04805): embeddings, then one stage per layer.

The layers are written on torch alone and take their weights from files in transformers' layout: importing that library
costs more time than running a small encoder over a thousand messages does.
"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from graftwork import (
    Backbone,
    BackboneSpec,
    InputMismatch,
    PluginFault,
    Stage,
    State,
    UsageError,
    WeightsMismatch,
    Window,
    masked_mean,
)
from graftwork.layout import WEIGHTS, read_json
from graftwork_text.tokenizer import digest, load

ACTIVATIONS = {
    "gelu": functional.gelu,
    "gelu_new": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
}
"""By the names that transformers gives them."""

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
"""transformers' names of the parts, and ours."""
LEGACY = {"gamma": "weight", "beta": "bias"}
"""What the first releases of BERT call the numbers of a LayerNorm."""

DEFAULTS: dict[str, Any] = {
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
}
"""BERT base: what a field means that config.json leaves out."""


class Embeddings(Stage):
    """Token ids `(B, T)` to vectors `(B, T, D)`: words, places and the first kind of segment, added and normalised."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__("embeddings")
        width = config["hidden_size"]
        # Made of empty ones, which are drawn or filled later: to draw on "meta", torch loads its compiler (seconds).
        sizes = (config[name] for name in ("vocab_size", "max_position_embeddings", "type_vocab_size"))
        tables = (nn.Embedding.from_pretrained(torch.empty(size, width), freeze=False) for size in sizes)
        self.words, self.positions, self.types = tables
        self.norm = nn.LayerNorm(width, eps=config["layer_norm_eps"])
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])

    def forward(self, state: State) -> State:
        beside = self.positions.weight[: state.hidden.shape[1]] + self.types.weight[0]
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


class Bert(Backbone):
    """pool: the mean over real tokens (or the first token's vector), scaled to length 1 where pretraining did so."""

    batch_size = 1_024
    measures = True

    def __init__(self, spec: BackboneSpec, config: dict[str, Any], tokenizer: Tokenizer | None = None) -> None:
        blocks = [Block(f"block{i + 1}", config) for i in range(config["num_hidden_layers"])]
        super().__init__(spec, [Embeddings(config), *blocks], [config["hidden_size"]] * (len(blocks) + 1))
        self.tokenizer = tokenizer
        if tokenizer is not None:
            # A copy that never cuts, to see how long a text is.
            self._measure = Tokenizer.from_str(tokenizer.to_str())
            self._measure.no_padding()
            self._measure.no_truncation()

    def prepare(self, values: list[str]) -> State:
        """Texts to token ids `(B, T)` int64 with their mask; texts over `max_length` tokens are cut at the end.

        Raises `InputMismatch` for what is not text in UTF-8.
        """
        if self.tokenizer is None:
            raise UsageError(
                f"'{self.spec.name}' was built without weights, so it has no tokenizer.", "Load it with its weights."
            )
        try:
            encoded = self.tokenizer.encode_batch_fast(values)
        except TypeError as error:  # also for what is no text, or was read in another encoding
            raise InputMismatch(
                f"Backbone '{self.spec.name}' wants texts in UTF-8; it was given what is none to prepare.",
                "Apply the steps of the agreement first.",
            ) from error
        mask = torch.tensor([row.attention_mask for row in encoded], dtype=torch.bool)
        return State(torch.tensor([row.ids for row in encoded]), None if bool(mask.all()) else mask)

    def measure(self, values: list[str]) -> list[int]:
        """Tokens that are read."""
        longest = self.spec.preparation["max_length"]
        return [min(len(row.ids), longest) for row in self._measure.encode_batch_fast(values)]

    def windows(self, value: str) -> list[Window]:
        """A text over `max_length` tokens in parts of at most that many, cut between words; shares by characters."""
        assert self.tokenizer is not None
        room = self.spec.preparation["max_length"] - self.tokenizer.num_special_tokens_to_add(is_pair=False)
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

    Raises `WeightsMismatch` when the weights are not those of such a model, or the tokenizer is not the one that the
    contract names, or knows more tokens than the weights do. Where the contract names none, that of the folder is taken
    into it.
    """
    if weights is None:
        shape = {"num_hidden_layers": len(spec.stages) - 1, "hidden_size": spec.feature_dim}
        model = Bert(spec, _config(spec, {**shape, **spec.config.get("model", {})}))
        return model.apply(_draw)
    config = _config(spec, read_json(weights / "config.json"))
    tokenizer = load(weights, spec.preparation["max_length"])
    spec = _bound(spec, weights, config, tokenizer.get_vocab_size())
    # On "meta" a model has shapes only: numbers that a file replaces are not drawn.
    with torch.device("meta"):
        model = Bert(spec, config, tokenizer)
    _fill(model, weights)
    return model


def _config(spec: BackboneSpec, said: dict[str, Any]) -> dict[str, Any]:
    config = {**DEFAULTS, **said}
    if config["hidden_act"] not in ACTIVATIONS or config.get("position_embedding_type", "absolute") != "absolute":
        raise PluginFault(
            f"'{spec.name}' has hidden_act {config['hidden_act']} and positions "
            f"{config.get('position_embedding_type', 'absolute')}; absolute positions and "
            f"{', '.join(ACTIVATIONS)} can be built.",
            "Choose another encoder: graftwork backbones --modality text",
        )
    return config


def _draw(module: nn.Module) -> None:
    """Normal with a deviation of 0.02, as BERT's own initialisation is."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def _fill(model: Bert, folder: Path) -> None:
    """Put weights in transformers' layout into the stages; what pretraining heads the file holds stays behind."""
    file = folder / WEIGHTS
    try:
        found = {_short(name): tensor for name, tensor in load_file(file).items()}
        for number, stage in enumerate(model.stages()):
            prefix, names = ("embeddings.", EMBEDDINGS) if number == 0 else (f"encoder.layer.{number - 1}.", LAYER)
            taken = {
                f"{ours}.{kind}": found[f"{prefix}{theirs}.{kind}"].to(torch.float32)
                for theirs, ours in names.items()
                for kind in ("weight", "bias")
                if f"{ours}.{kind}" in stage.state_dict()
            }
            stage.load_state_dict(taken, assign=True)
    except (KeyError, OSError, RuntimeError, SafetensorError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error).strip().splitlines()[-1].strip()
        raise WeightsMismatch(
            f"'{file}' does not hold the weights of '{model.spec.name}': {reason.rstrip('.')}.",
            "Save or fetch the model again.",
        ) from error


def _short(name: str) -> str:
    """The name of a tensor without the model's own in front, and with today's words for a LayerNorm's numbers."""
    owner, _, kind = name.removeprefix("bert.").rpartition(".")
    return f"{owner}.{LEGACY.get(kind, kind)}"


def _bound(spec: BackboneSpec, folder: Path, config: dict[str, Any], tokens: int) -> BackboneSpec:
    """The spec with the tokenizer of the folder in its contract: weights mean nothing with another one."""
    found, stated = digest(folder), spec.preparation.get("tokenizer")
    if stated not in (None, found):
        raise WeightsMismatch(
            f"The tokenizer in '{folder}' (digest {found[:12]}…) is not the one that '{spec.name}' was pretrained with "
            f"({stated[:12]}…).",
            "Restore its vocabulary and tokenizer files, or fetch the model again.",
        )
    if tokens > config["vocab_size"]:
        raise WeightsMismatch(
            f"The tokenizer in '{folder}' knows {tokens} tokens and the weights {config['vocab_size']}, so they are "
            "not of one model.",
            "Restore its vocabulary and tokenizer files, or fetch the model again.",
        )
    contract = dataclasses.replace(spec.contract, preparation={**spec.preparation, "tokenizer": found})
    return dataclasses.replace(spec, contract=contract)
