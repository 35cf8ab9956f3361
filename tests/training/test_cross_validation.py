"""Solved heads are compared on examples that they were not solved on, in pairs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork.data.splits import folds, sample
from graftwork.errors import DataError
from graftwork.features.dataset import FeatureDataset
from graftwork.tasks.losses import Loss, Sigmoid, Softmax, Squares
from graftwork.tasks.task import load_task
from graftwork.training import fold_solver, solver
from graftwork.training.coordinates import coordinates
from graftwork.training.cross_validation import cross_validated
from graftwork.training.fold_solver import out_of_fold, principal

CLASSIFY = load_task("classify")


def clusters(count: int, width: int, apart: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % 3
    centres = torch.randn(3, width, generator=generator) * apart
    return centres[targets] + torch.randn(count, width, generator=generator), targets


def scored(features: torch.Tensor, targets: torch.Tensor, fold: list[int]):
    known = CLASSIFY.encode([str(int(target)) for target in targets])
    (found,) = cross_validated(CLASSIFY, known, Softmax(), [features], targets, fold)
    return found


@given(
    strata=st.lists(st.sampled_from("abcd"), min_size=2, max_size=60), count=st.integers(2, 6), seed=st.integers(0, 9)
)
def test_folds_are_as_even_as_can_be_and_an_only_example_is_in_none(strata, count, seed) -> None:
    if all(strata.count(name) < 2 for name in strata):
        with pytest.raises(DataError, match="one example only, so nothing can be held out to compare by"):
            folds(strata, count, seed)
        return
    found = folds(strata, count, seed)
    for name in set(strata):
        mine = [fold for fold, stratum in zip(found, strata, strict=True) if stratum == name]
        if len(mine) == 1:
            assert mine == [-1]
            continue
        sizes = [mine.count(fold) for fold in range(count)]
        assert sum(sizes) == len(mine)
        assert max(sizes) - min(sizes) <= 1
    every = [found.count(fold) for fold in range(count)]
    assert max(every) - min(every) <= 1
    assert found == folds(strata, count, seed)


@given(strata=st.lists(st.sampled_from("aaaaabbc"), min_size=1, max_size=200), most=st.integers(10, 100))
def test_a_sample_has_its_share_of_every_stratum(strata, most) -> None:
    found = sample(strata, most, 0)
    assert found == sorted(set(found))
    if len(strata) <= most:
        assert found == list(range(len(strata)))
    for name in set(strata):
        mine = sum(strata[place] == name for place in found)
        assert mine >= min(2, strata.count(name))
        assert mine <= max(2, most * strata.count(name) / len(strata) + 1)


@settings(deadline=None, max_examples=20)
@given(count=st.integers(12, 30), width=st.integers(1, 60), seed=st.integers(0, 99), blocks=st.booleans())
def test_a_head_solved_in_other_coordinates_answers_the_same(count, width, seed, blocks) -> None:
    features, targets = clusters(count, width, 1.0, seed)
    widths = [width // 2, width - width // 2] if blocks and width > 1 else [width]
    data = FeatureDataset(features, targets, torch.arange(count))
    found = coordinates(data, widths)
    made = FeatureDataset(found.of(features), targets, data.rows)
    assert made.width <= max(width if count >= width else count, 1)
    solution = found.back(solver.solve(made, 3, 1e-2, Softmax()))
    weighed = features if found.factors is None else features * found.factors
    plain = solver.solve(FeatureDataset(weighed, targets, data.rows), 3, 1e-2, Softmax())
    elsewhere = torch.randn(5, width, generator=torch.Generator().manual_seed(seed))
    wanted = plain.logits(elsewhere if found.factors is None else elsewhere * found.factors)
    assert torch.allclose(solution.logits(elsewhere), wanted, atol=1e-2)


def test_stages_that_are_joined_weigh_the_same() -> None:
    features = torch.cat([torch.randn(50, 3) * 100, torch.randn(50, 8) / 100], 1)
    found = coordinates(FeatureDataset(features, torch.zeros(50)), [3, 8])
    first, second = found.of(features).var(0, correction=0).split([3, 8])
    assert float(first.sum()) == pytest.approx(1, rel=1e-3)
    assert float(second.sum()) == pytest.approx(1, rel=1e-3)


def test_an_example_is_judged_by_a_head_that_its_fold_had_no_part_in() -> None:
    features, targets = clusters(41, 5, 1.0)
    fold = [*(place % 4 for place in range(40)), -1]
    (before,) = out_of_fold([features], targets, fold, 3, Softmax())
    assert before.outputs[:40].isfinite().all()
    assert before.outputs[40].isnan().all()
    changed = targets.clone()
    changed[0:40:4] = (targets[0:40:4] + 1) % 3  # all labels of fold 0
    (after,) = out_of_fold([features], changed, fold, 3, Softmax())
    if after.l2 == before.l2:
        assert torch.allclose(before.outputs[0:40:4], after.outputs[0:40:4], atol=1e-5)
    assert not torch.allclose(before.outputs[1:40:4], after.outputs[1:40:4], atol=1e-2)


@settings(deadline=None, max_examples=15)
@given(
    count=st.integers(20, 60), width=st.integers(1, 80), apart=st.floats(0.1, 2.0), seed=st.integers(0, 99),
    which=st.sampled_from(["one of three", "any of three", "two values"]),
)  # fmt: skip
def test_heads_that_are_solved_together_are_those_that_are_solved_alone(count, width, apart, seed, which) -> None:
    features, targets = clusters(count, width, apart, seed)
    loss: Loss = Softmax()
    if which == "any of three":
        targets, loss = torch.nn.functional.one_hot(targets, 3).float(), Sigmoid()
    elif which == "two values":
        targets, loss = features[:, :1].repeat(1, 2) + torch.randn(count, 2), Squares()
    outputs = 2 if which == "two values" else 3
    fold = [place % 4 for place in range(count)]
    others = features @ torch.randn(width, 7, generator=torch.Generator().manual_seed(seed))
    with pytest.MonkeyPatch.context() as patch:  # as far as they go; in use they are left where choices stay the same
        patch.setattr(fold_solver, "STEPS", 400)
        patch.setattr(fold_solver, "FINAL", 1e-5)
        found = out_of_fold([others, features], targets, fold, outputs, loss)[1]
    rough = out_of_fold([others, features], targets, fold, outputs, loss)[1]
    values = principal(features)
    alone = torch.zeros(count, outputs, dtype=torch.float64)
    for number in range(4):
        kept = torch.tensor([n for n in range(count) if fold[n] != number])
        scaled = FeatureDataset(values, targets[kept], kept)
        size = solver.Scaling.of(scaled).size
        solution = solver.solve(scaled, outputs, found.l2 / size**2, loss)
        rows = [n for n in range(count) if fold[n] == number]
        alone[rows] = solution.logits(values[rows]).double()
    mine, theirs, roughly = (
        float(loss(made.clone(), targets)[0].mean()) for made in (found.outputs, alone, rough.outputs)
    )
    assert mine == pytest.approx(theirs, rel=0.05, abs=0.03)
    assert roughly <= 1.1 * theirs + 0.06  # never worse: what stops early is shrunk more


def test_scores_are_of_what_features_say_and_come_with_an_interval() -> None:
    features, targets = clusters(90, 4, 3.0)
    fold = folds([str(int(t)) for t in targets], 5, 0)
    told, noise = scored(features, targets, fold), scored(torch.randn(90, 4), targets, fold)
    assert told.value > 0.9 > 0.6 > noise.value
    low, high = told.interval
    assert low <= told.value <= high
    assert told.surely_above(noise)
    assert not noise.surely_above(told)
    difference, error = told.above(noise)
    assert difference == pytest.approx(told.value - noise.value)
    assert 0.02 < error < 0.12


def test_of_two_that_say_the_same_none_is_surely_above() -> None:
    wins = 0
    for seed in range(10):
        features, targets = clusters(60, 6, 1.0, seed)
        fold = folds([str(int(t)) for t in targets], 5, seed)
        noisy = features + 0.05 * torch.randn(features.shape, generator=torch.Generator().manual_seed(seed))
        wins += scored(noisy, targets, fold).surely_above(scored(features, targets, fold))
    assert wins <= 1
