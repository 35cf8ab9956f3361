"""Numbers that are not finite are refused by name: no answer is made of them."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import graftwork as gw
from graftwork import WeightsMismatch


@pytest.fixture
def overflows(monkeypatch) -> None:
    """An encoder that has no finite vector for texts of more than eight tokens."""
    from graftwork_text.tokens import TextEncoder

    pool = TextEncoder.pool

    def little(self, state: gw.State) -> torch.Tensor:
        lengths = state.hidden.shape[1] if state.mask is None else state.mask.sum(1)
        pooled = pool(self, state)
        pooled[torch.as_tensor(lengths).expand(len(pooled)) > 8] = float("inf")
        return pooled

    monkeypatch.setattr(TextEncoder, "pool", little)


def test_an_example_without_finite_features_is_left_out_by_name(overflows, tiny_bert, tmp_path) -> None:
    rows = [f"{word},{word}" for word in ("card", "parcel") for _ in range(12)]
    table = tmp_path / "t.csv"
    table.write_text("text,label\n" + "\n".join([*rows, f"{'card ' * 9},card"]) + "\n")
    for _ in range(2):  # the second time its features are looked for in the store
        run = gw.fit(table, f"local:{tiny_bert}")
        (left_out,) = run.record["data"]["left_out"]
        assert left_out["reason"].endswith("card' has features that are not finite, by torch fp32.")
    short, long = run.predict(["card", "card " * 9])
    assert short["label"] == "card"
    assert long["label"] is None
    assert "features that are not finite" in long["error"]
    json.dumps(run.record, allow_nan=False)


def test_weights_that_are_not_finite_are_refused_by_name(messages, tiny_bert, tmp_path) -> None:
    folder = shutil.copytree(tiny_bert, tmp_path / "encoder")
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][3, 1] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsMismatch, match=r"hold numbers that are not finite, in '.*words.*'"):
        gw.fit(messages, f"local:{folder}")
