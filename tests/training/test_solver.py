"""The solver's threads and its memory: same bits however it is run, and nothing chosen twice."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graftwork as gw
from graftwork.features.dataset import FeatureDataset
from graftwork.features.extraction import Cache
from graftwork.features.results import remembered
from graftwork.features.store import Store
from graftwork.models.machine import sleeping_threads
from graftwork.tasks.losses import Softmax
from graftwork.training import solver
from graftwork.training.lbfgs import lbfgs
from graftwork.training.trainer import _chosen


def features(count: int = 900, width: int = 24, classes: int = 5, seed: int = 0) -> FeatureDataset:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, width, generator=generator)
    targets = torch.randint(classes, (count,), generator=generator)
    return FeatureDataset(centres[targets] + 1.5 * torch.randn(count, width, generator=generator), targets)


def halves(data: FeatureDataset) -> tuple[FeatureDataset, FeatureDataset]:
    rows = torch.arange(len(data))
    return tuple(replace(data, targets=data.targets[some], rows=some) for some in (rows[rows % 3 > 0], rows[::3]))  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("kept", [True, False])
def test_any_number_of_threads_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    monkeypatch.setattr(solver, "SMALL", 0)
    monkeypatch.setattr(solver, "PIECE", 24 * 70)
    monkeypatch.setattr(solver, "KEPT", 2**30 if kept else 0)
    train, validation = halves(features())
    found = []
    for count in (1, 2, 5):
        monkeypatch.setattr(solver, "_threads", lambda data, count=count: sleeping_threads(count))
        chosen = solver.choose(train, validation, 5, Softmax())
        found.append((chosen, solver.solve(train + validation, 5, chosen.l2, Softmax(), near=chosen)))
    for one in found[1:]:
        for ours, first in zip(one, found[0], strict=True):
            assert ours.l2 == first.l2
            assert torch.equal(ours.weight, first.weight)
            assert torch.equal(ours.bias, first.bias)


def test_threads_of_the_solver_each_compute_in_one_of_torchs_and_leave_torch_as_it_was() -> None:
    before = torch.get_num_threads()
    with sleeping_threads(3) as threads:
        assert torch.get_num_threads() == 1
        assert list(threads(lambda item: (item, torch.get_num_threads()), range(20))) == [(i, 1) for i in range(20)]
    assert torch.get_num_threads() == before


def test_no_more_results_are_waiting_than_twice_the_threads() -> None:
    begun: list[int] = []
    with sleeping_threads(2) as threads:
        results = threads(lambda item: begun.append(item) or item, range(1000))
        next(results)
        assert len(begun) <= 6


@given(st.integers(0, 10**6), st.integers(2, 12))
@settings(max_examples=30, deadline=None)
def test_lbfgs_finds_the_least_of_any_convex_square(seed: int, size: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(size, size, generator=generator, dtype=torch.float64)
    hessian, least = root @ root.T + torch.eye(size), torch.randn(size, generator=generator, dtype=torch.float64)

    def objective(point: torch.Tensor) -> tuple[float, torch.Tensor]:
        slope = hessian @ (point - least)
        return float(slope @ (point - least)) / 2, slope

    found, converged = lbfgs(objective, torch.zeros(size, dtype=torch.float64), 1e-8)
    assert converged
    assert torch.allclose(found, least, atol=1e-4)


def test_lbfgs_says_where_it_found_no_least() -> None:
    def wrong(point: torch.Tensor) -> tuple[float, torch.Tensor]:
        return float(point.square().sum()), -2 * point  # the slope points the wrong way

    _, converged = lbfgs(wrong, torch.ones(3, dtype=torch.float64), 1e-6)
    assert not converged


# What is remembered.


def job(cache: Cache | None) -> Any:
    return SimpleNamespace(cache=cache)


def test_a_choice_is_made_once_and_is_the_same_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, validation = halves(features())
    plain = solver.choose(train, validation, 5, Softmax())
    with Store(tmp_path / "store") as store:
        cache = Cache(store, "w")
        first = _chosen(job(cache), train, validation, 5, Softmax())
        monkeypatch.setattr(solver, "choose", lambda *_: pytest.fail("chosen twice"))
        second = _chosen(job(cache), train, validation, 5, Softmax())
    for one in (first, second):
        assert (one.l2, one.converged) == (plain.l2, plain.converged)
        assert torch.equal(one.weight, plain.weight)
        assert torch.equal(one.bias, plain.bias)


@given(st.sampled_from(["feature", "target", "row", "weight", "outputs"]), st.integers(0, 299))
@settings(max_examples=25, deadline=None)
def test_whatever_differs_is_chosen_anew(tmp_path_factory: pytest.TempPathFactory, what: str, place: int) -> None:
    train, validation = halves(features(450))
    asked: list[str] = []

    def choose(*_: Any) -> solver.Solution:
        asked.append("")
        return solver.Solution(torch.zeros(5, 24), torch.zeros(5), 1e-3)

    with pytest.MonkeyPatch.context() as patch, Store(tmp_path_factory.mktemp("s")) as store:
        patch.setattr(solver, "choose", choose)
        cache = Cache(store, "w")
        _chosen(job(cache), train, validation, 5, Softmax())
        other, outputs = train, 5
        if what == "feature":
            other = replace(train, values=train.all_values.clone())
            other.all_values[place, 3] += 1e-3
            validation = replace(validation, values=other.values)
        elif what == "target":
            other = replace(train, targets=train.targets.clone())
            other.targets[place] = (other.targets[place] + 1) % 5
        elif what == "row":
            other = replace(train, rows=train.rows.clone())  # pyright: ignore[reportOptionalMemberAccess]
            other.rows[place] = 0  # pyright: ignore[reportOptionalSubscript]
            other = other if place else replace(train, targets=train.targets.flip(0))
        elif what == "weight":
            other = replace(train, weights=torch.ones(len(train)))
        else:
            outputs = 6
        _chosen(job(cache), other, validation, outputs, Softmax())
    assert len(asked) == 2


def test_a_loss_with_a_state_of_its_own_is_not_remembered(tmp_path: Path) -> None:
    class Weighed(Softmax):
        pass

    train, validation = halves(features(300))
    with Store(tmp_path / "store") as store:
        _chosen(job(Cache(store, "w")), train, validation, 5, Weighed())
        assert store._index.execute("SELECT COUNT(*) FROM results").fetchone()[0] == 0


def test_damaged_and_old_results_are_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(tmp_path / "store") as store:
        cache, made = Cache(store, "w"), iter([b"first", b"second", b"third"])
        assert remembered(cache, "k", ["a"], lambda: next(made)) == b"first"
        assert remembered(cache, "k", ["a"], lambda: next(made)) == b"first"
        store._index.execute("UPDATE results SET found = ?", (b"fxrst",))
        assert remembered(cache, "k", ["a"], lambda: next(made)) == b"second"
        monkeypatch.setattr("graftwork.features.store.RESULTS", 5)
        remembered(cache, "k", ["b"], lambda: b"newer")
        assert remembered(cache, "k", ["b"], lambda: b"never") == b"newer"
        assert remembered(cache, "k", ["a"], lambda: next(made)) == b"third"
        store.clear()
        assert remembered(cache, "k", ["b"], lambda: b"after") == b"after"


def test_a_store_that_fails_is_no_reason_to_fail(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store._index.execute("DROP TABLE results")
    assert remembered(Cache(store, "w"), "k", ["a"], lambda: b"found") == b"found"
    store.close()


def test_a_second_fit_compares_no_stages_and_solves_nothing(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graftwork.runs import depths

    words = {"good": ["fine", "great", "lovely"], "bad": ["poor", "awful", "sad"]}
    rng = random.Random(0)
    table = tmp_path / "t.csv"
    with table.open("w", newline="") as file:
        rows = [
            (f"{rng.choice(words[label])} {rng.choice(words[label])} thing {n}", label)
            for n in range(40)
            for label in words
        ]
        csv.writer(file).writerows([("text", "label"), *rows])
    compared: list[int] = []
    compare: Callable[..., Any] = depths.compare
    monkeypatch.setattr(depths, "compare", lambda *a, **k: compared.append(1) or compare(*a, **k))
    first = gw.fit(table, f"local:{tiny_bert}")
    monkeypatch.setattr(solver, "choose", lambda *_: pytest.fail("chosen twice"))
    monkeypatch.setattr(solver, "solve", lambda *_, **__: pytest.fail("solved twice"))
    second = gw.fit(table, f"local:{tiny_bert}")
    assert len(compared) == 1
    for name in ("metrics", "depths", "training"):
        assert first.record[name] == second.record[name]
    without = [
        torch.equal(a, b)
        for a, b in zip(first._head.state_dict().values(), second._head.state_dict().values(), strict=True)
    ]
    assert all(without)
