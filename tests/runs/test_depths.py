"""`--tap auto`: the stages that the head reads are those that serve it, and the last where none surely does better."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import graftwork as gw
from graftwork import UsageError
from graftwork.runs import depths
from graftwork.runs.depths import better_than_last, compare
from graftwork.tasks.losses import Softmax
from graftwork.tasks.task import load_task


@pytest.fixture
def tiny(tiny_bert: Path) -> str:
    return f"local:{tiny_bert}"


def stages(told: list[float], count: int = 60, seed: int = 0) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Features of stages that tell labels apart so well."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % 3
    centres = torch.randn(3, 8, generator=generator)
    return [centres[targets] * far + torch.randn(count, 8, generator=generator) for far in told], targets


def chosen(told: list[float], joined: bool = True, seed: int = 0) -> tuple[int, ...]:
    task = load_task("classify")
    features, targets = stages(told, seed=seed)
    known = task.encode([str(int(target)) for target in targets])
    fold = [place // 3 % 5 for place in range(len(targets))]
    return better_than_last(compare(task, known, Softmax(), features, targets, fold, joined=joined)).taps


def test_a_stage_that_tells_much_more_is_read_alone_or_joined_with_others() -> None:
    assert chosen([0.1, 3.0, 0.1, 0.1], joined=False) == (1,)
    assert 1 in chosen([0.1, 3.0, 0.1, 0.1])


def test_the_last_stage_stays_where_it_is_as_good_and_where_all_tell_nothing() -> None:
    assert chosen([0.1, 0.5, 3.0], joined=False) == (2,)
    assert [chosen([0.0, 0.0, 0.0], joined=False, seed=seed) for seed in range(8)].count((2,)) >= 7
    assert [chosen([1.0, 1.0, 1.0], joined=False, seed=seed) for seed in range(8)].count((2,)) >= 7


def test_stages_that_each_tell_something_are_joined() -> None:
    assert len(chosen([0.1, 0.1, 0.8, 0.8, 0.8, 0.8], seed=3)) > 1


def test_a_fit_says_what_each_stage_scored_and_reads_what_was_chosen(messages, tiny, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(depths, "better_than_last", lambda found: next(d for d in found if d.taps == (1, 2)))
    run = gw.fit(messages, tiny, tap="auto", out=tmp_path / "run")
    assert run.record["tap"] == "block1+block2"
    assert [row["stage"] for row in run.record["depths"]][-1] == "block2"
    assert [row["stage"] for row in run.record["depths"] if row["chosen"]] == ["block1+block2"]
    assert all(row["low"] <= row["score"] <= row["high"] for row in run.record["depths"])
    named = gw.fit(messages, tiny, tap="block2 + block1")
    texts = ["i lost my card", "where is my parcel"]
    said = [
        [answer["probabilities"] for answer in one.predict(texts)] for one in (run, named, gw.load(tmp_path / "run"))
    ]
    assert said[0] == said[1] == said[2]
    assert run.evaluate(messages)["metrics"]["accuracy"] == 1.0
    assert run.record["feature_dim"] == 2 * gw.fit(messages, tiny, tap="last").record["feature_dim"]


def test_where_the_last_stage_stays_a_fit_is_that_of_the_last(messages, tiny) -> None:
    auto, last = gw.fit(messages, tiny, tap="auto"), gw.fit(messages, tiny, tap="last")
    assert auto.record["tap"] == last.record["tap"] == "block2"
    assert auto.metrics == last.metrics
    assert auto.record["depths"][-1]["chosen"]
    assert last.record["depths"] == []


def test_stages_are_compared_where_a_head_is_solved_and_nothing_else_is_said(messages, tiny) -> None:
    assert gw.fit(messages, tiny).record["depths"]
    for asked in ({"tap": "last"}, {"c": 1.0}, {"freeze": "lpft", "epochs": 1}):
        assert gw.fit(messages, tiny, **asked).record["depths"] == []
    assert gw.fit(gw.stream(messages), tiny).record["depths"] == []


def test_a_policy_that_solves_the_head_first_trains_up_to_the_stage_that_was_chosen(
    messages, tiny, monkeypatch
) -> None:
    monkeypatch.setattr(depths, "better_than_last", lambda found: found[1])
    run = gw.fit(messages, tiny, tap="auto", freeze="lpft", epochs=1)
    assert run.record["tap"] == "block1"
    assert (
        "block2" not in run.record["certificate"]["stages"]
        or not run.record["certificate"]["stages"]["block2"]["trained"]
    )


def test_where_nothing_can_be_compared_the_last_stage_is_read_with_a_note(tmp_path, tiny) -> None:
    (tmp_path / "t.csv").write_text("text,label\nmy card,a\nlost card,a\nmy order,b\nlost order,b\n")
    run = gw.fit(tmp_path / "t.csv", tiny, tap="auto", val=0.5)
    assert run.record["tap"] == "block2"
    assert "No label has two training examples, so no stage could be compared with the last" in " ".join(
        run.record["warnings"]
    )


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"tap": "auto", "freeze": "all"},
            "--tap auto compares heads that are solved exactly; the freeze policy 'all'",
        ),
        ({"tap": "0+1", "freeze": "lpft"}, "--tap 0\\+1 joins stages for a head that is solved exactly; the freeze"),
        ({"tap": "0+9"}, "There is no tap '9'"),
    ],
)
def test_what_cannot_be_chosen_is_refused(messages, tiny, asked, message) -> None:
    with pytest.raises(UsageError, match=message):
        gw.fit(messages, tiny, **asked)


def test_the_command_line_shows_the_depths(messages, tiny, tmp_path, shell) -> None:
    made = shell("fit", messages, "--backbone", tiny, "--tap", "auto", "--out", tmp_path / "run")
    assert made.returncode == 0, made.stderr
    assert "block1" in made.stdout
    assert "stays" in made.stdout
    answered = shell("fit", messages, "--backbone", tiny, "--tap", "auto", "--out", tmp_path / "other", "--json")
    assert [row["stage"] for row in json.loads(answered.stdout)["depths"]][-1] == "block2"
