"""`compare` says whether transfer helped: by its start, its slope and its end, and against raw input."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import graftwork as gw
from graftwork import DataError, UsageError
from graftwork.runs import compare as comparing
from graftwork.runs.benefits import sentences
from graftwork.runs.trial import Trial
from graftwork.tasks.task import load_task
from graftwork.training.cross_validation import Scores

FAST = {"epochs": 2, "lr": 1e-3, "head_lr": 1e-2, "batch_size": 8}


@pytest.fixture
def tiny(tiny_bert: Path) -> str:
    return f"local:{tiny_bert}"


@pytest.fixture(scope="module")
def compared(tmp_path_factory, tiny_bert) -> gw.Comparison:
    rows = ["text,label"]
    rows += [f"{said} {word} {number},{label}" for number in range(20)
             for said, word, label in (("where is my", "parcel", "a"), ("i lost", "card", "b"))]  # fmt: skip
    path = tmp_path_factory.mktemp("compare") / "t.csv"
    path.write_text("\n".join(rows))
    return gw.compare(path, f"local:{tiny_bert}", **FAST)


def test_every_way_is_judged_by_the_same_held_out_examples(compared) -> None:
    assert set(compared.rows) == {"raw input (bag of words)", "frozen", "tuned", "from nothing"}
    assert {len(one.scores.losses) for one in compared.rows.values()} == {compared.n_test} == {10}
    assert compared.n_train == 30
    assert compared.rows["frozen"].scores.value == 1.0


def test_curves_are_by_epoch_and_by_the_number_of_examples(compared) -> None:
    assert {name: len(row) for name, row in compared.epochs.items()} == {"tuned": 2, "from nothing": 2}
    for row in compared.as_json()["epochs"].values():
        assert [point["epoch"] for point in row] == [1, 2]
        assert all(point["low"] <= point["score"] <= point["high"] for point in row)
    assert {len(one.losses) for row in compared.epochs.values() for one in row} == {compared.n_train // 5}
    assert {name: [n for n, _ in row] for name, row in compared.sizes.items()} == {
        name: [8, 15] for name in ("raw input (bag of words)", "frozen", "tuned", "from nothing")
    }


def test_it_is_said_in_json_and_in_sentences(compared) -> None:
    said = compared.as_json()
    assert json.loads(json.dumps(said)) == said
    assert said["metric"] == "accuracy"
    words = " ".join(said["sentences"])
    for benefit in ("start: ", "slope: ", "end: ", "Against raw input (bag of words)", "To train the encoder too"):
        assert benefit in words


def scored(value: float, count: int = 100) -> Scores:
    generator = np.random.default_rng(0)
    right = (np.arange(count) < value * count).astype(float)
    draws = np.array([right[generator.integers(0, count, count)].mean() for _ in range(200)])
    return Scores(value, draws, 1 - right, 1)


def said(rows: dict[str, float], epochs: dict[str, list[float]] | None = None, sizes=None) -> str:
    found = SimpleNamespace(
        task=load_task("classify"), rows={name: Trial(scored(value), 1.0) for name, value in rows.items()},
        epochs={name: [scored(value) for value in row] for name, row in (epochs or {}).items()}, sizes={"frozen": [(n, scored(value)) for n, value in sizes or ()]},
    )  # fmt: skip
    return " ".join(sentences(found))


def test_the_three_benefits_are_there_or_not() -> None:
    rows = {"frozen": 0.8, "tuned": 0.9, "from nothing": 0.5}
    helped = said(rows, {"tuned": [0.7, 0.85, 0.9], "from nothing": [0.2, 0.3, 0.5]})
    assert "Higher start: 0.700 on validation examples after the first epoch, 0.200 from nothing (0." in helped
    assert "Steeper slope: 0.830 after 2 epochs; from nothing not in 3." in helped
    assert "Higher end: 0.900 against 0.500 from nothing" in helped
    rows = {"frozen": 0.8, "tuned": 0.8, "from nothing": 0.81}
    not_helped = said(rows, {"tuned": [0.2, 0.5, 0.8], "from nothing": [0.3, 0.8, 0.81]})
    assert "No higher start" in not_helped
    assert "No steeper slope" in not_helped
    assert "No higher end" in not_helped


def test_negative_transfer_is_said() -> None:
    assert "Negative transfer: raw input (pixels) does better than the encoder by 0.300" in said(
        {"raw input (pixels)": 0.9, "frozen": 0.6}
    )
    assert "Against raw input (pixels) the frozen encoder wins 0.300" in said(
        {"raw input (pixels)": 0.6, "frozen": 0.9}
    )
    assert "no difference can be told" in said({"raw input (pixels)": 0.9, "frozen": 0.9})


def test_what_more_examples_would_buy_is_read_off_the_curve() -> None:
    falling = [(8, 0.6), (16, 0.7), (32, 0.775)]  # errors fall by a quarter with each doubling
    words = said({"frozen": 0.775}, sizes=falling)
    assert "About 4 more examples of each label would buy a point (extrapolated)." in words
    assert "would buy little" in said({"frozen": 0.7}, sizes=[(8, 0.7), (16, 0.7), (32, 0.7)])


def test_what_the_budget_does_not_allow_is_left_out_and_said(messages, tiny) -> None:
    found = gw.compare(messages, tiny, budget=1e-6, epochs=50)
    assert set(found.rows) == {"raw input (bag of words)", "frozen"}
    words = " ".join(found.sentences)
    assert "'tuned' was left out: it would have taken" in words
    assert "'from nothing' was left out" in words


def test_the_splits_of_the_data_are_used_where_they_are(messages) -> None:
    data = gw.data(messages)
    for split in ("test", "validation"):
        given = replace(data, splits=["train"] * 30 + [split] * 10)
        assert comparing._two_parts(given, load_task("classify"), 0).splits == ["train"] * 30 + ["test"] * 10
    both = replace(data, splits=["train"] * 20 + ["validation"] * 10 + ["test"] * 10)
    assert comparing._two_parts(both, load_task("classify"), 0).splits == ["train"] * 30 + ["test"] * 10


def test_what_cannot_be_compared_is_answered(messages, tiny, tmp_path) -> None:
    with pytest.raises(UsageError, match="those of 'tag' are not. Compare two fits"):
        gw.compare(messages, tiny, task="tag")
    (tmp_path / "one.csv").write_text("text,label\nmy card,a\nmy order,b\n")
    with pytest.raises(DataError, match="one example only"):
        gw.compare(tmp_path / "one.csv", tiny)


def test_the_command_writes_a_page_and_names_the_next_step(messages, tiny, tmp_path, shell) -> None:
    page = tmp_path / "pages" / "compare.html"
    made = shell("compare", messages, "--backbone", tiny, "--epochs", "1", "--html", page)
    assert made.returncode == 0, made.stderr
    assert "Next: graftwork fit DATA --backbone" in made.stdout
    assert "Against raw input (bag of words)" in page.read_text()
    refused = shell("rank", messages, "--backbone", tiny, "--html", "/dev/null/x.html")
    assert refused.returncode == 2
    assert "'/dev/null/x.html' cannot be written" in refused.stderr
