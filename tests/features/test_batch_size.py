"""Sizes of batches: tried once where it is worth it, remembered, and of no effect on features."""

from __future__ import annotations

import pytest
import torch

import graftwork as gw
from graftwork.features import batch_size, extraction
from graftwork.models import measurements

CPU = torch.device("cpu")
ABOUT = {"backbone": "text/tiny", "computed_by": "torch fp32", "weights": "ab"}


@pytest.fixture
def timed(monkeypatch) -> dict[int, float]:
    """Seconds of an example, by the rows of its batch."""
    seconds = {1: 1.0, 4: 0.9, 16: 0.89}
    monkeypatch.setattr(batch_size, "TIMES", {"cpu": (1, 4, 16)})
    monkeypatch.setattr(batch_size, "MANY", {"cpu": 10})
    monkeypatch.setattr(batch_size, "_seconds", lambda device, state, compute: seconds[len(state.hidden)])
    measurements._here.clear()
    return seconds


def read(times: int) -> gw.State:
    return gw.State(torch.zeros(times, 2))


def test_the_smallest_of_the_fast_sizes_is_chosen_once(timed, own_store) -> None:
    assert batch_size.chosen(ABOUT, CPU, 10, read, lambda state: None) == 4
    timed[1] = 0.1
    measurements._here.clear()  # as in another process
    assert batch_size.chosen(ABOUT, CPU, 1, read, lambda state: None) == 4
    assert batch_size.chosen({**ABOUT, "weights": "cd"}, CPU, 10, read, lambda state: None) == 1


def test_few_examples_are_not_worth_trying(timed, own_store) -> None:
    assert batch_size.chosen(ABOUT, CPU, 9, read, lambda state: None) == 1


def test_a_size_that_memory_does_not_hold_is_not_chosen(timed, own_store) -> None:
    def compute(state: gw.State) -> None:
        if len(state.hidden) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    assert batch_size.chosen(ABOUT, CPU, 10, read, compute) == 1


def test_a_fit_computes_in_the_size_that_is_fast_and_gets_the_same_features(
    messages, tiny_bert, timed, own_store, monkeypatch, shell
) -> None:
    from graftwork_text.tokens import TextEncoder

    monkeypatch.setattr(TextEncoder, "batch_size", 24)
    sizes: list[int] = []
    compute = extraction.Extractor.pooled
    monkeypatch.setattr(
        extraction.Extractor, "pooled", lambda by, batch, every: sizes.append(by.budget) or compute(by, batch, every)
    )
    monkeypatch.setattr(batch_size, "_seconds", lambda device, state, compute: 1 / len(state.hidden))
    large = gw.fit(messages, f"local:{tiny_bert}", cache=False)
    assert set(sizes) == {16 * 24}
    monkeypatch.setattr(batch_size, "chosen", lambda *given: 1)
    sizes.clear()
    small = gw.fit(messages, f"local:{tiny_bert}", cache=False)
    assert set(sizes) == {24}
    assert large.metrics["log_loss"] == pytest.approx(small.metrics["log_loss"], abs=1e-4)
    (row,) = [line for line in shell("machine").stdout.splitlines() if "16 times" in line]
    assert "torch fp32" in row
