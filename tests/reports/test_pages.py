"""Pages of made-up results: each part appears where its figures are, and names are words everywhere."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graftwork.reports.page import render, write_page
from graftwork.reports.run_page import write_report

HOSTILE = [
    "<script>alert(1)</script>",
    "</script>",
    '" onmouseover="alert(1)',
    "' onerror='x",
    "</title>",
    "<!--",
    "&amp;",
    "{{ 7*7 }}",
]

RANKED: dict[str, Any] = {
    "data": "photos", "metric": "macro_f1", "sampled": 400, "verdict": "The first two are a tie.",
    "candidates": [
        {"backbone": "image/one", "tap": "block2", "score": 0.91, "low": 0.88, "high": 0.94, "tie": False, "seconds_per_example": 0.0124,
         "size_bytes": 18_600_000, "licence": "Apache-2.0", "depths": [
             {"stage": "block1", "score": 0.8, "low": 0.7, "high": 0.9, "chosen": False},
             {"stage": "block2", "score": 0.91, "low": 0.88, "high": 0.94, "chosen": True}]},
        {"backbone": "image/two", "tap": "head", "score": 0.9, "low": 0.87, "high": 0.93, "tie": True, "seconds_per_example": 0.06,
         "size_bytes": 88_000_000, "licence": None, "depths": []},
    ],
}  # fmt: skip
COMPARED: dict[str, Any] = {
    "data": "photos", "metric": "accuracy", "sentences": ["Transfer starts higher and ends higher."],
    "rows": [{"name": "from scratch", "score": 0.55, "low": 0.5, "high": 0.6}, {"name": "tuned", "score": 0.91, "low": 0.88, "high": 0.94}],
    "epochs": {name: [{"epoch": n, "score": score, "low": score - 0.05, "high": score + 0.05} for n, score in enumerate(row, 1)]
               for name, row in {"from scratch": [0.1, 0.3, 0.55], "tuned": [0.6, 0.9, 0.91]}.items()},
    "sizes": {"from scratch": [{"n": 20, "score": 0.2, "low": 0.1, "high": 0.3}, {"n": 80, "score": 0.4, "low": 0.3, "high": 0.5}],
              "tuned": [{"n": 20, "score": 0.6, "low": 0.5, "high": 0.7}, {"n": 80, "score": 0.8, "low": 0.7, "high": 0.9}]},
}  # fmt: skip


def report(record: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(record, path)
    return path.read_text(encoding="utf-8")


def test_a_report_says_what_was_asked_and_found_at_the_top(record, sound, tmp_path_factory) -> None:
    page = sound(report(record, tmp_path_factory))
    top = page.words[: page.words.index("Right and wrong", page.words.index("Measured"))]
    for words in (
        "photos: classify with image/one",
        "9 of 10 are right.",
        "40 train, 10 validation",
        "1 of 1, none moved",
        "log loss (less is better)",
        "0.900",
    ):
        assert words in top, words
    headings = [heading.strip() for heading in page.texts["h2"]]
    assert headings == [
        "Warnings", "Right and wrong", "Seen: the worst answers", "The data", "Conversions and what was left out", "Certificate", "Made of",
    ]  # fmt: skip
    assert "How it was chosen" not in page.words


def test_every_chart_stands_beside_its_numbers(record, more, sound, tmp_path_factory) -> None:
    page = sound(report({**record, **more}, tmp_path_factory))
    assert page.texts["title"][1:] == [
        "Confusion",
        "Values",
        "Calibration",
        "Score by depth",
        "Score by number of examples",
    ]
    assert len(page.all("details")) == len(page.all("svg")) + 1  # that of the certificate has digests
    assert page.texts["desc"][0] == record["validation"]["parts"][0]["says"]
    for words in ("'cat' taken for 'dog': 1 of 5", "91% sure", "cat/7.jpg", "'torn.jpg' is torn."):
        assert words in page.words, words


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("tried", ["What was tried", "41.5", "better by more than its error"]),
        ("depths", ["Score by depth.", "'block2' was chosen"]),
        ("calibration", ["Calibration.", "differ by 3.0% in the mean", "0.900 to 1.000"]),
        ("learning_curve", ["Score by number of examples.", "0.500 with 20 examples and 0.700 with 40"]),
    ],
)
def test_a_part_appears_with_its_figures_and_not_without(key, words, record, more, sound, tmp_path_factory) -> None:
    before = sound(report(record, tmp_path_factory)).words
    after = sound(report({**record, key: more[key]}, tmp_path_factory)).words
    assert all(word not in before and word in after for word in words)


def test_the_stages_of_tap_all_are_a_depth_plot(record, sound, tmp_path_factory) -> None:
    record["taps"] = [
        {"tap": "block1", "accuracy": 0.7, "log_loss": 0.9},
        {"tap": "block2", "accuracy": 0.9, "log_loss": 0.3},
    ]
    assert "The last stage, 'block2', was chosen: accuracy 0.900." in sound(report(record, tmp_path_factory)).words


def test_losses_and_figures_of_epochs_are_curves(record, sound, tmp_path_factory) -> None:
    history = [
        {"epoch": 0, "accuracy": 0.5},
        {"epoch": 1, "loss": 0.9, "accuracy": 0.8},
        {"epoch": 2, "loss": 0.2, "accuracy": 0.75},
    ]
    record |= {
        "trained_by": "loop",
        "training": {
            "history": history,
            "best_epoch": 1,
            "steps": 8,
            "batch_size": 4,
            "lr": 1e-3,
            "head_lr": 1e-2,
            "precision": "fp32",
        },
    }
    page = sound(report(record, tmp_path_factory))
    assert page.texts["title"][-2:] == ["Loss in training", "Validation accuracy"]
    assert "Loss in training goes from 0.900 after epoch 1 to 0.200 after epoch 2." in page.words
    assert "to 0.800 after epoch 1, which is kept, and 0.750 after epoch 2." in page.words
    assert "8 steps of 4 examples, rate 0.001, head 0.01, fp32." in page.words


def test_many_values_of_a_fact_are_a_range_with_an_example_of_each_end(record, sound, tmp_path_factory) -> None:
    page = sound(report(record, tmp_path_factory))
    assert "120 to 4 032 px, median 1 024" in page.words
    assert "small.jpg" in page.words
    assert "to large.jpg" in page.words
    assert "105 px" not in page.words


def test_a_moved_tensor_is_said_in_red_letters_and_words(record, sound, tmp_path_factory) -> None:
    record["certificate"] |= {"ok": False, "leaked": ["block1.weight"]}
    page = sound(report(record, tmp_path_factory))
    assert "MOVED; the first: block1.weight." in page.words


def test_a_record_without_answers_of_its_validation_is_a_page_too(record, sound, tmp_path_factory) -> None:
    """Runs of other tasks, and those that were made before."""
    del record["validation"]
    page = sound(report(record, tmp_path_factory))
    assert "accuracy" in page.words
    assert "Seen" not in page.words


def test_rank_is_a_page_with_a_verdict_scores_and_depths(sound) -> None:
    page = sound(render("rank.html.j2", result=RANKED))
    for words in (
        "The first two are a tie.",
        "Scored on 400 examples.",
        "which is a tie.",
        "12.4",
        "18.6",
        "not stated",
        "'block2', was chosen",
    ):
        assert words in page.words, words
    assert page.texts["title"][1:] == ["Encoders", "image/one"]


def test_compare_is_a_page_with_curves(sound) -> None:
    text = render("compare.html.j2", result=COMPARED)
    page = sound(text)
    assert page.texts["title"][1:] == ["Scores", "Validation score by epoch", "Score by number of examples"]
    by_epoch = text[text.index("Validation score by epoch") : text.index("Score by number of examples")]
    assert by_epoch.count('class="band') == 2
    for words in (
        "Transfer starts higher and ends higher.",
        "'tuned' is first with accuracy 0.910",
        "from scratch from 0.100 to 0.550",
    ):
        assert words in page.words, words


def test_compare_says_the_least_first_where_less_is_better(sound) -> None:
    page = sound(render("compare.html.j2", result={**COMPARED, "metric": "rmse", "higher_is_better": False}))
    assert "'from scratch' is first with rmse 0.550" in page.words


def replaced(value: Any, word: str) -> Any:
    """The value with the word in the place of every name in it."""
    if isinstance(value, dict):
        names = {"cat", "dog", "block1", "width"}
        return {word + key if key in names else key: replaced(item, word) for key, item in value.items()}
    if isinstance(value, list):
        return [replaced(item, word) for item in value]
    kept = ("exact", "heat_map", "table", "scatter", "loop")
    return f"{value}{word}" if isinstance(value, str) and value not in kept else value


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    word=st.sampled_from(HOSTILE)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)
)
def test_names_with_markup_are_words_on_every_page(word, record, more, sound, tmp_path_factory) -> None:
    pages = [
        report(replaced({**record, **copy.deepcopy(more)}, word), tmp_path_factory),
        render("rank.html.j2", result={**replaced(RANKED, word), "metric": "macro_f1"}),
        render("compare.html.j2", result=replaced(COMPARED, word)),
    ]
    plain = [
        report({**record, **copy.deepcopy(more)}, tmp_path_factory),
        render("rank.html.j2", result=RANKED),
        render("compare.html.j2", result=COMPARED),
    ]
    for page, before in zip(map(sound, pages), map(sound, plain), strict=True):
        # Nothing but what is always there.
        assert {(tag, *sorted(a)) for tag, a, _ in page.elements} <= {
            (tag, *sorted(a)) for tag, a, _ in before.elements
        }
        assert f"photos{word}" in page.words


def test_pages_are_written_to_new_folders(tmp_path) -> None:
    write_page(tmp_path / "new" / "folder" / "page.html", "compare.html.j2", result={"rows": []})
    assert (tmp_path / "new" / "folder" / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_made_up_results_are_what_json_can_say() -> None:
    assert json.loads(json.dumps(RANKED)) == RANKED
