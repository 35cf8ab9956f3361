"""`--best`: the encoder, the depth and what is trained are chosen by measurements within a budget, and a run says how."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

import graftwork as gw
from graftwork import UsageError
from graftwork.runs import automatic
from graftwork.runs.planning import FitRequest
from graftwork.runs.trial import OutOfBudget, Trial, trial
from graftwork.training.cross_validation import Scores, pooled

FAST = {"epochs": 1, "lr": 1e-3, "head_lr": 1e-2}


@pytest.fixture
def tiny(tiny_bert: Path) -> str:
    return f"local:{tiny_bert}"


def scored(value: float, spread: float = 0.0, sign: int = 1) -> Scores:
    draws = value + spread * np.linspace(-1, 1, 200)
    return Scores(value, draws, np.full(30, 1 - value), sign)


def told(monkeypatch: pytest.MonkeyPatch, head: Scores, lpft: Scores, seconds: float = 0.0) -> list[str]:
    """Trials that give these scores. Returns the policies that were tried, in order."""
    tried = []

    def made(request, data, freeze, until, *more):
        tried.append(freeze)
        return Trial(head if freeze == "head" else lpft, seconds)

    monkeypatch.setattr(automatic, "trial", made)
    return tried


def rows(run: gw.Run) -> dict[str, dict]:
    return {row["what"]: row for row in run.record["tried"]}


def test_the_head_alone_is_trained_unless_more_is_better_by_a_standard_error(messages, tiny, monkeypatch) -> None:
    for lpft, chosen in ((scored(0.85, 0.02), "head"), (scored(0.9, 0.02), "lpft"), (scored(0.7, 0.02), "head")):
        told(monkeypatch, scored(0.845), lpft)
        run = gw.fit(messages, tiny, freeze="auto", **FAST)
        assert run.record["freeze"] == chosen
        assert rows(run)[f"freeze {chosen}"]["chosen"]
        assert sum(row["chosen"] for row in run.record["tried"]) == 1


def test_where_less_is_better_less_is_taken(messages, tiny, monkeypatch) -> None:
    told(monkeypatch, scored(0.5, 0.01, -1), scored(0.3, 0.02, -1))
    assert gw.fit(messages, tiny, freeze="auto", **FAST).record["freeze"] == "lpft"


def test_trials_go_on_as_long_as_the_budget_does(messages, tiny, monkeypatch) -> None:
    tried = told(monkeypatch, scored(0.8), scored(0.8))
    gw.fit(messages, tiny, freeze="auto", **FAST)
    assert tried == ["head", "lpft"] * 3
    tried = told(monkeypatch, scored(0.8), scored(0.8), seconds=100.0)
    gw.fit(messages, tiny, freeze="auto", budget=50.0, **FAST)
    assert tried == ["head", "lpft"]


def test_a_trial_trains_on_training_examples_alone_and_is_judged_by_the_others(messages, tiny) -> None:
    data = gw.data(messages)
    splits = ["test" if place % 4 == 0 else "train" for place in range(len(data))]
    from dataclasses import replace

    request = FitRequest(tiny, settings=gw.Settings.of(FAST))
    found = trial(request, replace(data, splits=splits), "lpft", time.perf_counter() + 60)
    assert len(found.scores.losses) == splits.count("test")
    assert len(found.epochs) == 1
    assert trial(request, replace(data, splits=splits), "head", time.perf_counter() + 60).scores.value == 1.0


def test_a_budget_that_is_too_small_says_what_was_done_in_it(messages, tiny) -> None:
    run = gw.fit(messages, tiny, freeze="auto", budget=1e-6, epochs=50)
    assert run.record["freeze"] == "head"
    assert run.record["trained_by"] == "exact"
    assert "more were needed for a trial, and the budget of 0 s has less left" in rows(run)["freeze lpft"]["why"]
    assert "The head alone is trained, since nothing was compared" in " ".join(run.record["warnings"])


def test_one_example_of_each_label_leaves_nothing_to_compare(tmp_path, tiny) -> None:
    (tmp_path / "t.csv").write_text("text,label,split\nmy card,a,train\nmy order,b,train\nlost card,a,val\n")
    run = gw.fit(tmp_path / "t.csv", tiny, freeze="auto", tap="auto")
    assert run.record["freeze"] == "head"


def test_auto_takes_the_first_of_the_ranking(messages, tiny, monkeypatch) -> None:
    from graftwork.runs.rank import rank

    monkeypatch.setattr(automatic, "candidates", lambda *asked: ([1, 2], []))
    monkeypatch.setattr(automatic, "rank", lambda data, **asked: rank(data, [tiny], task=asked["task"]))
    seen = []
    run = gw.fit(messages, "auto", told=seen.append)
    assert run.record["backbone"] == tiny
    assert rows(run)[f"backbone {tiny}"]["chosen"]
    assert run.record["timings"]["choose"] > 0


def test_an_encoder_that_is_the_only_one_is_taken_without_a_comparison(messages, tiny, monkeypatch) -> None:
    from graftwork.plugins import registry

    monkeypatch.setattr(automatic, "candidates", lambda *asked: ([registry.backbone(tiny)], [("text/x", "no weights")]))
    run = gw.fit(messages, "auto")
    assert rows(run)[f"backbone {tiny}"]["why"] == "the only one at hand"
    assert rows(run)["backbone text/x"]["why"] == "no weights"


def test_a_fit_that_leaves_nothing_open_measures_nothing(messages, tiny) -> None:
    run = gw.fit(messages, tiny)
    assert run.record["tried"] == []
    assert "choose" not in run.record["timings"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"freeze": "auto", "resume": True, "out": "x"}, "A fit that goes on has its choices behind it"),
        (
            {"freeze": "auto", "task": "tag"},
            "'auto' compares heads that are solved on one vector per example; those of",
        ),
    ],
)
def test_what_cannot_be_decided_is_refused(messages, tiny, asked, message) -> None:
    with pytest.raises(UsageError, match=message):
        gw.fit(gw.data(messages), tiny, **asked)


def test_best_is_all_three_at_once_and_keeps_what_is_named(messages, tiny, tmp_path, shell) -> None:
    made = shell(
        "fit",
        messages,
        "--best",
        "--backbone",
        tiny,
        "--epochs",
        "1",
        "--budget",
        "60s",
        "--out",
        tmp_path / "run",
        "--json",
    )
    assert made.returncode == 0, made.stdout
    said = json.loads(made.stdout)
    assert said["backbone"] == tiny
    assert said["depths"]
    assert {row["what"] for row in said["tried"]} == {"freeze head", "freeze lpft"}
    assert "Tried freeze head: 1.0000" in made.stderr


@pytest.mark.parametrize("words", ["soon", "-5m", "0", "5 weeks", "inf"])
def test_a_budget_that_is_no_time_is_refused(messages, tiny, shell, words) -> None:
    made = shell("fit", messages, "--best", f"--budget={words}")
    assert made.returncode == 2
    assert f"--budget {words} is no time; 90s, 5m and 1h are. Write: --budget 5m" in made.stderr


def test_scores_of_parts_are_one_score_of_all() -> None:
    one, two = scored(1.0), scored(0.5)
    both = pooled([one, two, two])
    assert both.value == pytest.approx(2 / 3)
    assert len(both.losses) == 90
    assert both.interval == pytest.approx((2 / 3, 2 / 3))
    assert str(OutOfBudget(12.3)) == "12 s"
