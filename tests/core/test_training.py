"""The arithmetic below `fit`: splits, the exact solver, metrics, freezing and its certificate."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss

from graftwork import UsageError, solver
from graftwork.errors import DataError
from graftwork.examples import batches
from graftwork.fitting import sort_labels
from graftwork.metrics import classification
from graftwork.splits import stratified

labels = st.lists(st.sampled_from("abcd"), min_size=2, max_size=60).filter(lambda ls: max(Counter(ls).values()) > 1)


@given(labels, st.floats(0.05, 0.9), st.integers(0, 5))
def test_a_split_holds_out_of_each_label_at_least_one_and_never_all(words, fraction, seed) -> None:
    held = stratified(words, fraction, seed)
    assert held == stratified(words, fraction, seed)
    for label, count in Counter(words).items():
        out = sum(h for h, word in zip(held, words, strict=True) if word == label)
        assert out == 0 if count == 1 else 1 <= out < count
        assert count == 1 or abs(out - fraction * count) <= 1


@given(st.permutations(["1", "01", "1.0", "10", "9"]), st.permutations(["nan", "2", "10", "inf"]))
def test_labels_have_one_order_whatever_order_they_come_in(numbers, odd) -> None:
    # A dict keeps the order that a set would take from the interpreter's hash seed.
    assert sort_labels(dict.fromkeys(numbers)) == ["01", "1", "1.0", "9", "10"]
    assert sort_labels(dict.fromkeys(odd)) == ["10", "2", "inf", "nan"]


def test_another_seed_holds_out_other_examples() -> None:
    words = list("ab" * 50)
    assert stratified(words, 0.2, 0) != stratified(words, 0.2, 1)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5])
def test_a_fraction_outside_0_to_1_is_refused(fraction) -> None:
    with pytest.raises(UsageError, match="is not a part of the data"):
        stratified(["a", "a"], fraction, 0)


def test_labels_seen_once_only_cannot_be_split() -> None:
    with pytest.raises(DataError, match="Every label has one example only"):
        stratified(["a", "b"], 0.2, 0)


def blobs(n: int, classes: int, dim: int, spread: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, dim, generator=torch.Generator().manual_seed(9))
    targets = torch.arange(n) % classes
    return centres[targets] + spread * torch.randn(n, dim, generator=generator), targets


def test_the_solver_reaches_the_optimum_that_scikit_learn_reaches() -> None:
    x, y = blobs(300, 5, 12, 2.0)
    strength = 1e-3
    ours = solver.solve(x, y, 5, strength)
    scale = solver.Scaling.of(x).size
    c = 1 / (len(x) * strength) / scale**2
    theirs = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(x.numpy().astype(np.float64), y.numpy())
    probabilities = ours.logits(x).double().softmax(1).numpy()
    assert np.abs(probabilities - theirs.predict_proba(x.numpy().astype(np.float64))).max() < 1e-4


def test_the_solution_does_not_depend_on_where_features_lie_or_how_large_they_are() -> None:
    x, y = blobs(200, 3, 6, 1.0)
    plain = solver.solve(x, y, 3, 1e-3).logits(x)
    moved = solver.solve(1000 * x + 500, y, 3, 1e-3).logits(1000 * x + 500)
    assert torch.allclose(plain.softmax(1), moved.softmax(1), atol=2e-3)


def test_the_strength_is_chosen_by_what_was_held_out() -> None:
    def choice(n: int, dim: int, spread: float) -> float:
        x, y = blobs(n, 4, dim, spread)
        return solver.choose(x[n // 4 :], y[n // 4 :], x[: n // 4], y[: n // 4], 4).strength

    assert choice(120, 200, 12.0) > 10 * choice(4000, 8, 0.3)


probabilities = st.integers(2, 5).flatmap(
    lambda k: st.lists(
        st.tuples(st.lists(st.floats(0.01, 1), min_size=k, max_size=k), st.integers(0, k - 1)), min_size=2
    )
)


@given(probabilities)
@settings(max_examples=50)
def test_metrics_are_scikit_learns(rows) -> None:
    p = np.array([row for row, _ in rows])
    p /= p.sum(1, keepdims=True)
    y = np.array([target for _, target in rows])
    ours = classification(p, y)
    assert ours["accuracy"] == pytest.approx(accuracy_score(y, p.argmax(1)))
    assert ours["macro_f1"] == pytest.approx(f1_score(y, p.argmax(1), average="macro"))
    assert ours["log_loss"] == pytest.approx(log_loss(y, p, labels=range(p.shape[1])))
    assert ours["majority"] == pytest.approx(np.bincount(y).max() / len(y))


@given(st.lists(st.integers(1, 50), max_size=80), st.integers(1, 200))
def test_batches_hold_every_example_once_within_the_budget(sizes, budget) -> None:
    made = batches(sizes, budget)
    assert sorted(i for batch in made for i in batch) == list(range(len(sizes)))
    for batch in made:
        assert len(batch) == 1 or len(batch) * max(sizes[i] for i in batch) <= budget
        assert sizes[batch[0]] == max(sizes[i] for i in batch)
