"""The text plugin keeps what the kit asks of any."""

from __future__ import annotations

from typing import Any

import torch

from graftwork.testing import conformance


def reference(backbone: Any, values: list[str]) -> torch.Tensor:
    """transformers' tokenizer and BERT, of the same weights."""
    from transformers import AutoTokenizer, BertModel

    folder = backbone.spec.weights.find()
    length = backbone.spec.preparation["max_length"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(values, padding=True, truncation=True, max_length=length, return_tensors="pt")
    return BertModel.from_pretrained(folder, add_pooling_layer=False).eval()(**tokens).last_hidden_state


references = dict.fromkeys(["text/minilm"], reference)
test_conformance = conformance("graftwork-text", references=references)
