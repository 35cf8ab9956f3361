"""The arithmetic below `fit`: splits, the exact solver, metrics, freezing and its certificate."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, f1_score, log_loss

from graftwork import UsageError
from graftwork.data.splits import stratified
from graftwork.errors import DataError
from graftwork.features.dataset import FeatureDataset
from graftwork.features.examples import batches
from graftwork.tasks.classify import classification, sort_labels
from graftwork.tasks.losses import Sigmoid, Softmax, Squares
from graftwork.training import solver

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
    l2 = 1e-3
    ours = solver.solve(FeatureDataset(x, y), 5, l2, Softmax())
    scale = solver.Scaling.of(FeatureDataset(x, y)).size
    c = 1 / (len(x) * l2) / scale**2
    theirs = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(x.numpy().astype(np.float64), y.numpy())
    probabilities = ours.logits(x).double().softmax(1).numpy()
    assert np.abs(probabilities - theirs.predict_proba(x.numpy().astype(np.float64))).max() < 1e-4


def test_the_solution_does_not_depend_on_where_features_lie_or_how_large_they_are() -> None:
    x, y = blobs(200, 3, 6, 1.0)
    plain = solver.solve(FeatureDataset(x, y), 3, 1e-3, Softmax()).logits(x)
    moved = solver.solve(FeatureDataset(1000 * x + 500, y), 3, 1e-3, Softmax()).logits(1000 * x + 500)
    assert torch.allclose(plain.softmax(1), moved.softmax(1), atol=2e-3)


def scaled_c(x: torch.Tensor, l2: float) -> float:
    return 1 / (len(x) * l2) / solver.Scaling.of(FeatureDataset(x, x)).size ** 2


def test_labels_that_may_be_together_and_values_are_solved_as_scikit_learn_does() -> None:
    x, y = blobs(300, 5, 12, 2.0)
    together = torch.stack([y % 2 == 0, y > 2, x[:, 0] > 0], 1).float()
    wide = x.numpy().astype(np.float64)
    ours = solver.solve(FeatureDataset(x, together), 3, 1e-3, Sigmoid())
    sparse = solver.solve(FeatureDataset(x, together.to_sparse()), 3, 1e-3, Sigmoid())
    assert torch.equal(ours.weight, sparse.weight)
    for label in range(3):
        theirs = LogisticRegression(C=scaled_c(x, 1e-3), tol=1e-10, max_iter=10_000).fit(
            wide, together[:, label].numpy()
        )
        assert np.abs(torch.sigmoid(ours.logits(x))[:, label].numpy() - theirs.predict_proba(wide)[:, 1]).max() < 1e-4
    values = torch.stack([x[:, 0] * 3 + 1, x[:, 1].exp()], 1)
    ridge = solver.solve(FeatureDataset(x, values), 2, 1e-3, Squares())
    theirs = Ridge(alpha=1 / scaled_c(x, 1e-3)).fit(wide, values.numpy())
    assert np.abs(ridge.logits(x).numpy() - theirs.predict(wide)).max() < 1e-3


def test_weights_are_scikit_learns_and_a_weight_of_two_is_an_example_twice() -> None:
    x, y = blobs(300, 3, 8, 2.0)
    keep = (y != 2) | (torch.arange(300) % 10 == 2)
    x, y = x[keep], y[keep]
    counts = torch.bincount(y).double()
    weights = (len(y) / (3 * counts))[y]
    ours = solver.solve(FeatureDataset(x, y, weights=weights), 3, 1e-3, Softmax()).logits(x).double().softmax(1)
    scale = solver.Scaling.of(FeatureDataset(x, y, weights=weights)).size
    c = 1 / (len(x) * 1e-3) / scale**2
    wide = x.numpy().astype(np.float64)
    theirs = LogisticRegression(C=c, class_weight="balanced", tol=1e-10, max_iter=10_000).fit(wide, y.numpy())
    assert np.abs(ours.numpy() - theirs.predict_proba(wide)).max() < 1e-4
    twice = torch.cat([torch.arange(len(x)), torch.arange(0, len(x), 2)])
    doubled = solver.solve(FeatureDataset(x, y[twice], twice), 3, 1e-3, Softmax())
    heavy = solver.solve(FeatureDataset(x, y, weights=1.0 + (torch.arange(len(x)) % 2 == 0)), 3, 1e-3, Softmax())
    assert torch.allclose(doubled.logits(x).softmax(1), heavy.logits(x).softmax(1), atol=1e-4)


@pytest.mark.parametrize("kept", [True, False])
def test_a_problem_in_chunks_is_the_whole_problem(monkeypatch, kept) -> None:
    from graftwork.features import dataset

    x, y = blobs(500, 4, 12, 2.0)
    rows = torch.randperm(500, generator=torch.Generator().manual_seed(0))[:400]
    whole = solver.solve(FeatureDataset(x[rows], y[rows]), 4, 1e-3, Softmax())
    monkeypatch.setattr(dataset, "CHUNK", 12 * 30)
    monkeypatch.setattr(solver, "KEPT", 10**9 if kept else 0)
    chunked = solver.solve(FeatureDataset(x, y[rows], rows), 4, 1e-3, Softmax())
    assert torch.allclose(whole.logits(x), chunked.logits(x), atol=1e-4)
    monkeypatch.setattr(solver, "SMALL", 0)  # in float32
    rounded = solver.solve(FeatureDataset(x, y[rows], rows), 4, 1e-3, Softmax())
    assert torch.allclose(whole.logits(x).softmax(1), rounded.logits(x).softmax(1), atol=2e-3)


def test_a_thousand_classes_and_the_path_to_their_strength_are_solved() -> None:
    x, y = blobs(6000, 1000, 64, 0.7)
    train, held = FeatureDataset(x[1000:], y[1000:]), FeatureDataset(x[:1000], y[:1000])
    chosen = solver.choose(train, held, 1000, Softmax())
    final = solver.solve(train, 1000, chosen.l2, Softmax(), near=chosen)
    assert final.converged
    assert (final.logits(x[:1000]).argmax(1) == y[:1000]).double().mean() > 0.9


def test_a_search_begun_near_the_solution_ends_there_too() -> None:
    x, y = blobs(300, 4, 12, 2.0)
    far, near = (
        solver.solve(FeatureDataset(x, y), 4, 1e-3, Softmax()),
        solver.solve(FeatureDataset(x[:280], y[:280]), 4, 1e-3, Softmax()),
    )
    again = solver.solve(FeatureDataset(x, y), 4, 1e-3, Softmax(), near=near)
    assert torch.allclose(far.logits(x), again.logits(x), atol=1e-4)


def test_the_strength_is_chosen_by_what_was_held_out() -> None:
    def choice(n: int, dim: int, spread: float) -> float:
        x, y = blobs(n, 4, dim, spread)
        return solver.choose(
            FeatureDataset(x[n // 4 :], y[n // 4 :]), FeatureDataset(x[: n // 4], y[: n // 4]), 4, Softmax()
        ).l2

    assert choice(120, 200, 12.0) > 10 * choice(4000, 8, 0.3)
    assert choice(1200, 200, 12.0) > 10 * choice(4000, 8, 0.3)


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


def test_large_features_lie_in_a_file_and_come_back_after_they_were_released(monkeypatch) -> None:
    from graftwork.features import dataset

    monkeypatch.setattr(dataset, "IN_MEMORY", 0)
    monkeypatch.setattr(dataset, "CHUNK", 100)
    x, y = blobs(300, 3, 8, 1.0)
    far = dataset.matrix(300, 8)
    assert far.mapped.size() == 300 * 8 * 4
    far.copy_(x)
    dataset.release(far)
    assert torch.equal(far, x)
    ours, theirs = (
        solver.solve(FeatureDataset(far, y), 3, 1e-3, Softmax()),
        solver.solve(FeatureDataset(x, y), 3, 1e-3, Softmax()),
    )
    assert torch.equal(ours.weight, theirs.weight)
