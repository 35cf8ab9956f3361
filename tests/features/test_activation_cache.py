"""States below the first trained stage: computed once, kept in half precision, and the same curve comes of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import graftwork as gw
from graftwork import UsageError
from graftwork.features import activation_cache, kept
from graftwork.features.activation_cache import _packed, _unpacked
from graftwork.features.kept import halved
from graftwork.features.store import Store
from graftwork.training.loop import TrainingLoop

FAST: dict[str, Any] = {
    "epochs": 3, "batch_size": 8, "patience": 0, "freeze": "last:1", "dropout": 0.0, "lr": 1e-3, "precision": "fp32",
}  # fmt: skip


@pytest.fixture
def still(tiny_bert: Path, tmp_path: Path) -> str:
    """The encoder without dropout."""
    folder = Path(shutil.copytree(tiny_bert, tmp_path / "still"))
    config = json.loads((folder / "config.json").read_text())
    config.update(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    (folder / "config.json").write_text(json.dumps(config))
    return f"local:{folder}"


def losses(run: gw.Run) -> list[float]:
    return [row["loss"] for row in run.record["training"]["history"]]


@pytest.fixture
def count_passes(monkeypatch) -> list[int]:
    """How many rows went through the first stage, call by call."""
    from graftwork_text.bert import Embeddings

    seen: list[int] = []
    original = Embeddings.forward

    def spy(self, state):
        seen.append(len(state.hidden))
        return original(self, state)

    monkeypatch.setattr(Embeddings, "forward", spy)
    return seen


def test_what_is_frozen_runs_once_ever_and_the_curve_is_that_of_running_it_always(
    messages, still, monkeypatch, count_passes
) -> None:
    kept = gw.fit(messages, still, **FAST)
    about = kept.record["training"]
    assert about["states_kept"]
    assert 0 < about["states"]["error"] < 5e-3
    assert (about["states"]["hits"], about["states"]["misses"]) == (12, 28)
    count_passes.clear()
    again = gw.fit(messages, still, **FAST)
    assert again.record["training"]["states"] == {**about["states"], "hits": 40, "misses": 0}
    assert losses(again) == losses(kept)
    assert sum(count_passes) == 8  # the final judgement of the validation part, by the weights that were trained
    count_passes.clear()
    monkeypatch.setattr(activation_cache.ActivationCache, "precompute", lambda self, train, others: "There is no room")
    always = gw.fit(messages, still, **FAST)
    assert not always.record["training"]["states_kept"]
    assert "There is no room" in always.record["warnings"]
    assert sum(count_passes) > 3 * 40
    assert losses(always) == pytest.approx(losses(kept), abs=1e-3)


def test_without_the_store_states_are_kept_for_the_fit_alone(messages, still, own_store) -> None:
    kept = gw.fit(messages, still, **FAST)
    alone = gw.fit(messages, still, cache=False, **FAST)
    assert alone.record["training"]["states_kept"]
    assert losses(alone) == losses(kept)
    with Store() as store:
        assert {space["kind"] for space in store.list()} == {"states before block2", "features"}
        assert store.clear()["rows"] > 0
    gw.fit(messages, still, cache=False, **FAST)
    with Store() as store:
        assert store.size()["rows"] == 0


def test_states_that_would_not_fit_are_computed_each_time_and_the_run_says_so(messages, still, monkeypatch) -> None:
    monkeypatch.setenv("GRAFTWORK_CACHE_LIMIT", "2000")
    run = gw.fit(messages, still, **FAST)
    assert not run.record["training"]["states_kept"]
    (said,) = [words for words in run.record["warnings"] if "would take" in words]
    assert said.startswith(
        "The states before 'block2' would take 0 MB and the feature store holds at most 0 MB, so what"
    )
    monkeypatch.setenv("GRAFTWORK_CACHE_LIMIT", "20GB")
    monkeypatch.setattr(kept, "SPARE", 10**18)
    run = gw.fit(messages, still, **FAST)
    assert any("the disk has room for 0 MB" in words for words in run.record["warnings"])


def test_states_that_are_lost_or_damaged_meanwhile_are_computed_again(messages, still, own_store, monkeypatch) -> None:
    right = losses(gw.fit(messages, still, **FAST))
    original = TrainingLoop._epoch

    def harmful(self, epoch):
        shards = sorted((own_store / "shards").iterdir())
        for shard in shards:
            content = bytearray(shard.read_bytes())
            content[len(content) // 2 :: 97] = bytes(len(content[len(content) // 2 :: 97]))
            shard.write_bytes(bytes(content))
        return original(self, epoch)

    monkeypatch.setattr(TrainingLoop, "_epoch", harmful)
    assert losses(gw.fit(messages, still, **FAST)) == pytest.approx(right, abs=1e-5)


def test_augmented_examples_are_kept_in_views_that_epochs_take_in_turn(messages, still, monkeypatch) -> None:
    shown: list[dict[int, Any]] = []
    original = activation_cache.ActivationCache.batch

    def spy(self, numbers, epoch=None):
        found = original(self, numbers, epoch)
        if epoch is not None:
            while len(shown) <= epoch:
                shown.append({})
            for row, number in enumerate(found.examples):
                hidden = found.state.hidden[row]
                shown[epoch][number] = hidden if found.state.mask is None else hidden[found.state.mask[row]]
        return found

    monkeypatch.setattr(activation_cache.ActivationCache, "batch", spy)
    options = {**FAST, "augment": True, "views": 2}
    run = gw.fit(messages, still, **options)
    states = run.record["training"]["states"]
    assert states["hits"] + states["misses"] == 2 * 32 + 8
    same = [all(torch.equal(shown[a][number], shown[b][number]) for number in shown[a]) for a, b in ((0, 1), (0, 2))]
    assert same == [False, True]
    again = gw.fit(messages, still, **options)
    assert losses(again) == losses(run)
    assert again.record["training"]["states"]["misses"] == 0
    with pytest.raises(UsageError, match="--views 2 keeps so many augmented versions of each example, and nothing is"):
        gw.fit(messages, still, **{**FAST, "views": 2})
    anew = gw.fit(messages, still, **{**FAST, "augment": True})
    assert not anew.record["training"]["states_kept"]


def test_windows_of_long_examples_are_kept_too(tmp_path, still, monkeypatch) -> None:
    rows = [f"{'where is my card ' * (30 if n % 3 else 1)}{n},{'ab'[n % 2]}" for n in range(24)]
    (tmp_path / "long.csv").write_text("\n".join(["text,label", *rows]))
    kept = gw.fit(tmp_path / "long.csv", still, long="windows", **FAST)
    assert kept.record["long"]["windows"] > 24
    assert kept.record["training"]["states_kept"]
    monkeypatch.setattr(activation_cache.ActivationCache, "precompute", lambda self, train, others: "no")
    always = gw.fit(tmp_path / "long.csv", still, long="windows", **FAST)
    assert losses(always) == pytest.approx(losses(kept), abs=1e-3)


def test_maps_of_images_are_kept(photos, monkeypatch) -> None:
    options = {"freeze": "last:1", "epochs": 2, "precision": "fp32", "dropout": 0.0, "patience": 0}
    kept = gw.fit(photos, "image/efficientnet-lite0", **options)
    assert kept.record["training"]["states_kept"]
    monkeypatch.setattr(activation_cache.ActivationCache, "precompute", lambda self, train, others: "no")
    always = gw.fit(photos, "image/efficientnet-lite0", **options)
    assert losses(always) == pytest.approx(losses(kept), abs=1e-2)


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    st.sampled_from([1.0, 1e-3, 1e7]),
)
def test_halves_come_back_as_they_were_and_their_error_is_as_stated(shape, dtype, scale) -> None:
    state = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) * scale).to(dtype)
    if not state.isfinite().all():
        return
    half, error = halved(state)
    back, share = _unpacked(_packed(half, 0.25))
    assert share == 0.25
    assert back.dtype == half.dtype
    assert torch.equal(back, half)
    assert back.isfinite().all()
    rms = float(state.float().square().mean().sqrt())
    assert float((back.float() - state.float()).abs().max()) <= error * rms * (1 + 1e-6)
    assert error <= (0.02 if scale > 1e6 else 2e-3) * float(state.float().abs().max()) / rms
