"""Ordered labels: their order, what is refused, and what a fit of them gives, through public names only."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import graftwork as gw
from graftwork_ordinal.head import CumulativeLinkHead
from graftwork_ordinal.task import Ordinal, probabilities, quadratic_kappa, ranks

SPEC = gw.TaskSpec("ordinal", "graftwork_ordinal.task:Ordinal", "ordered", ("cumulative-link",))


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (["5", "1", "10", "2"], ["1", "2", "5", "10"]),
        (["high", "Low", "middle"], ["Low", "middle", "high"]),
        (["3 hot", "1 cold", "2 warm"], ["1 cold", "2 warm", "3 hot"]),
        (["XL", "s", "M"], ["s", "M", "XL"]),
        (["strongly_agree", "disagree", "neutral"], ["disagree", "neutral", "strongly_agree"]),
    ],
)
def test_the_order_of_labels_is_known(labels, order) -> None:
    assert list(Ordinal(SPEC).encode(labels * 3).names) == order


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["cat", "dog"] * 5, "The order of the labels 'cat', 'dog' is not known"),
        (["1", "1.0"] * 5, "The order of the labels '1', '1.0' is not known"),
        (["4"] * 5, "All 5 examples have the label '4'"),
        ([str(n) for n in range(40)], "The 40 examples have 40 different labels; a few ordered ones are accepted."),
        ([["a"]] * 5, "one of several ordered labels is accepted per example"),
        (["", "low"], "one of several ordered labels is accepted per example"),
    ],
)
def test_labels_without_an_order_are_refused(labels, words) -> None:
    with pytest.raises(gw.DataError, match=words):
        Ordinal(SPEC).encode(labels)


@given(st.lists(st.lists(st.floats(-20, 20), min_size=3, max_size=3), min_size=1, max_size=5))
def test_probabilities_sum_to_one_and_their_median_is_the_answer(rows) -> None:
    outputs = torch.tensor(rows, dtype=torch.float64)
    found = probabilities(outputs)
    assert (found >= 0).all()
    assert np.allclose(found.sum(1), 1)
    for row, rank in zip(found, ranks(outputs), strict=True):
        assert row[: rank + 1].sum() >= 0.5 - 1e-12
        assert row[rank:].sum() >= 0.5 - 1e-12


def test_kappa_is_one_for_equal_ranks_and_nothing_for_one_answer() -> None:
    true = np.array([0, 1, 2, 2, 1, 0])
    assert quadratic_kappa(true, true) == pytest.approx(1)
    assert quadratic_kappa(np.ones(6, int), true) == pytest.approx(0)


def test_the_solved_thresholds_are_in_order_and_share_their_weights(graftwork_data, tmp_path) -> None:
    rng = np.random.default_rng(0)
    rows = [("text", "label")]
    for number in range(120):
        stars = 1 + number % 5
        words = ["bad", "poor", "fair", "good", "great"]
        rows.append((f"{words[stars - 1]} {words[min(4, stars)]} {rng.integers(9)}", str(stars)))
    (tmp_path / "stars.csv").write_text("\n".join(map(",".join, rows)))
    run = gw.fit(tmp_path / "stars.csv", "text/glove-50d", task="ordinal", cache=False)
    head = run._head
    assert isinstance(head, CumulativeLinkHead)
    assert (head.bias.diff() < 0).all()
    assert run.metrics["quadratic_kappa"] > 0.8 > run.metrics["median_error"] - 0.6
    answer = run.predict(["great great"])[0]
    assert answer["label"] in ("4", "5")
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert gw.load(run.save(tmp_path / "run")).predict(["great great"]) == [answer]


def test_it_imports_public_names_only() -> None:
    source = Path(__file__).parents[1] / "src"
    for file in source.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "graftwork":
                assert node.module == "graftwork"
                assert all(name.name in gw.__all__ for name in node.names)
