"""What labels can be to each task, what is refused and in which words, and what answers and figures are."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, mean_absolute_error, r2_score

from graftwork import DataError, UnknownName, UsageError
from graftwork.tasks.multilabel import best_threshold
from graftwork.tasks.task import Targets, check_applicable, load_task

names = st.sampled_from("abcde")
label_sets = st.lists(st.lists(names, unique=True), min_size=4, max_size=40).filter(
    lambda sets: len({tuple(sorted(s)) for s in sets}) > 1 and any(sets)
)
values = st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=30).filter(lambda v: np.std(v) > 1e-3 * np.abs(v).max())


@given(label_sets)
def test_label_sets_are_what_answers_say_of_perfect_outputs(sets) -> None:
    task = load_task("multilabel")
    if all(len(s) == len(set().union(*sets)) for s in sets):  # every label is everywhere, which is refused
        return
    known = task.encode(sets)
    answers = task.decode((known.values - 0.5) * 40, known)
    assert [set(answer["labels"]) for answer in answers] == [set(s) for s in sets]
    assert task.encode(["|".join(s) for s in sets]).values.equal(known.values)


def test_several_columns_of_0_and_1_are_the_label_set_of_a_list() -> None:
    task = load_task("multilabel")
    columns = [{"red": "1", "round": "0"}, {"red": "true", "round": "1.0"}, {"red": "", "round": "No"}]
    lists = [["red"], ["red", "round"], []]
    assert task.encode(columns).values.equal(task.encode(lists).values)


@pytest.mark.parametrize(
    ("task", "labels", "words"),
    [
        ("classify", ["a"] * 5, "All 5 examples have the label 'a'; two labels or more are accepted."),
        ("classify", [["a", "b"]] * 5, "The labels are lists (the first: 'a, b'); one label per example is accepted."),
        ("classify", [{"x": "1"}] * 5, "The labels are several columns (the first: 'x'); one label per example is accepted."),
        ("classify", [str(n / 7) for n in range(60)], "The 60 labels are as many different numbers (the first: 0.0), so none is seen twice. If they are values, not names, write: --task regress"),
        ("multilabel", ["", [], ""], "None of the 3 examples has a label; every label set is empty."),
        ("multilabel", [["a"], ["a"]], "All 2 examples have the same labels (a)"),
        ("multilabel", [{"x": "1", "y": "0"}, {"x": "0", "y": "0"}], "The label 'y' never occurs, so nothing can be learned of it."),
        ("multilabel", [{"x": "General", "y": "0"}] * 2, "The label column 'x' holds 'General'; several columns hold 0 or 1 each."),
        ("regress", ["1", "good", "3"], "The labels hold 'good'; numbers are accepted for regress."),
        ("regress", ["1", "inf", "3"], "The labels hold 'inf'; finite numbers are accepted."),
        ("regress", ["1", "nan", "3"], "The labels hold 'nan'; finite numbers are accepted."),
        ("regress", ["2", "2.0", "2"], "All 3 examples have the value 2; values that differ are accepted."),
        ("regress", ["1,234", "5", "2,500"], "The labels hold '1,234', which may be 1.234 or 1234. Write decimals with a point"),
        ("regress", ["3,5", "2", "1.5"], "The labels hold '3,5' and '1.5'; decimals after a comma or after a point are accepted, not both."),
        ("regress", ["3,5", "1.234,5"], "The labels hold '1.234,5'; numbers are accepted for regress."),
        ("regress", [{"x": "1", "y": "1,000"}, {"x": "2", "y": "1"}], "The column 'y' holds '1,000', which may be 1.000 or 1000."),
        ("regress", [["1"], ["2"]], "The labels are lists (the first: '1'); one number per example is accepted."),
        ("regress", [{"x": "1", "y": "wide"}] * 2, "The column 'y' holds 'wide'; numbers are accepted for regress."),
    ],
)  # fmt: skip
def test_labels_that_a_task_cannot_take_are_refused_in_a_sentence(task, labels, words) -> None:
    with pytest.raises(DataError) as caught:
        load_task(task).encode(labels)
    assert words in str(caught.value)


@pytest.mark.parametrize("cells", [["3,5", "-2", "1,25"], ["1,234", "0,5", "12"], ["0,234", "0,500", "0,1e3"]])
def test_decimals_after_a_comma_are_those_after_a_point_in_a_whole_column(cells) -> None:
    task = load_task("regress")
    points = [cell.replace(",", ".") for cell in cells]
    assert task.encode(cells).learned == task.encode(points).learned
    rows = [{"x": cell, "y": str(number)} for number, cell in enumerate(cells)]
    assert task.encode(rows).learned == task.encode([{**row, "x": row["x"].replace(",", ".")} for row in rows]).learned


def test_numbers_that_are_mostly_different_are_taken_for_names_with_a_note() -> None:
    labels = [str(n) for n in range(30)] + ["1", "1"]
    assert "If they are values, write: --task regress" in load_task("classify").encode(labels).notes[1]
    assert load_task("classify").encode(["1", "2", "3"] * 10).notes == ()


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="No task is called 'regres'; the nearest (is|are) regress"):
        load_task("regres")


def test_options_that_a_task_has_no_use_for_are_refused() -> None:
    for task, option in (("regress", "balance"), ("regress", "label_smoothing"), ("multilabel", "balance")):
        with pytest.raises(
            UsageError, match=f"The task '{task}' has no use for --{option.replace('_', '-')}: its labels"
        ):
            check_applicable(load_task(task), [option])
    with pytest.raises(UsageError, match="The task 'classify' has no use for --target-transform"):
        load_task("classify", "log")
    with pytest.raises(UsageError, match="--target-transform sqrt is not known; none and log are"):
        load_task("regress", "sqrt")


@given(values)
def test_values_are_scaled_for_the_head_and_back_in_answers(numbers) -> None:
    task = load_task("regress")
    known = task.encode([repr(n) for n in numbers])
    assert abs(float(known.values.mean())) < 1e-3
    assert float(known.values.std(correction=0)) == pytest.approx(1, abs=1e-3)
    found = [answer["value"] for answer in task.decode(known.values, known)]
    assert found == pytest.approx(numbers, rel=1e-4, abs=1e-4 * float(np.abs(numbers).max()))
    again = task.decode(known.values, Targets.from_json(known.as_json()))
    assert [answer["value"] for answer in again] == found


def test_the_logarithm_is_regressed_where_that_is_asked() -> None:
    task, numbers = load_task("regress", "log"), [1.0, 10.0, 100.0, 1000.0]
    known = task.encode([str(n) for n in numbers])
    assert known.values.diff(dim=0).std() < 1e-6  # evenly spaced
    assert [a["value"] for a in task.decode(known.values, known)] == pytest.approx(numbers)
    with pytest.raises(DataError, match="--target-transform log takes values above 0; the least of them is -2"):
        task.encode(["3", "-2"])


def test_several_values_have_names() -> None:
    task = load_task("regress")
    known = task.encode([{"x": "1", "y": "20"}, {"x": "2", "y": "40"}, {"x": "4", "y": "10"}])
    assert task.decode(known.values, known)[1] == {"values": {"x": pytest.approx(2), "y": pytest.approx(40)}}


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=3, max_size=40))
def test_figures_of_values_are_scikit_learns(rows) -> None:
    true, said = (np.array(side) for side in zip(*rows, strict=True))
    if true.std() < 1e-3:
        return
    task = load_task("regress")
    known = task.encode([repr(v) for v in true.tolist()])
    mean, scale = known.learned["mean"][0], known.learned["scale"][0]
    outputs = torch.from_numpy((said - mean) / scale)[:, None]
    found = task.metrics(outputs, torch.from_numpy((true - mean) / scale)[:, None], known)
    assert found["mae"] == pytest.approx(mean_absolute_error(true, said), abs=1e-6)
    assert found["rmse"] == pytest.approx(math.sqrt(np.square(true - said).mean()), abs=1e-6)
    assert found["r2"] == pytest.approx(r2_score(true, said), abs=1e-5, rel=1e-5)
    assert found["mean_rmse"] == pytest.approx(true.std(), abs=1e-6)


def test_figures_of_label_sets_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    there, probabilities = rng.random((200, 4)) < 0.3, rng.random((200, 4))
    task = load_task("multilabel")
    known = task.encode([[str(k) for k in np.flatnonzero(row)] for row in there])
    outputs = torch.from_numpy(np.log(probabilities / (1 - probabilities)))
    found = task.metrics(outputs, known.values, known)
    assert found["macro_f1"] == pytest.approx(f1_score(there, probabilities >= 0.5, average="macro"))
    assert found["micro_f1"] == pytest.approx(f1_score(there, probabilities >= 0.5, average="micro"))
    assert found["mean_average_precision"] == pytest.approx(average_precision_score(there, probabilities))


def test_a_threshold_is_that_of_the_highest_f1_and_stays_in_the_middle_for_few() -> None:
    rng = np.random.default_rng(1)
    there = rng.random(300) < 0.1
    probabilities = np.clip(0.1 + 0.2 * there + 0.1 * rng.standard_normal(300), 0.001, 0.999)
    chosen = best_threshold(probabilities, there)
    best = max(f1_score(there, probabilities >= t) for t in np.linspace(0.01, 0.99, 99))
    assert f1_score(there, probabilities >= chosen) >= best
    assert chosen < 0.4
    assert best_threshold(probabilities[:10], np.arange(10) < 2) == 0.5


def test_thresholds_are_not_judged_on_what_chose_them() -> None:
    """With labels by chance, thresholds chosen on examples flatter their F1 there; that is not what a fit reports."""
    rng = np.random.default_rng(2)
    task = load_task("multilabel")
    known = task.encode([["a"] * bool(a) + ["b"] * bool(b) for a, b in rng.random((60, 2)) < 0.3])
    outputs = torch.from_numpy(rng.standard_normal((60, 2)))
    flattered = task.metrics(outputs, known.values, task.calibrate(outputs, known.values, known))
    assert task.validate(outputs, known.values, known)["macro_f1"] < flattered["macro_f1"]


@given(st.integers(10, 200), st.integers(0, 3))
def test_a_split_of_values_holds_out_of_every_range(count, seed) -> None:
    from graftwork.data.splits import split

    rng = np.random.default_rng(seed)
    task = load_task("regress")
    numbers = rng.exponential(size=count)
    strata = task.encode([repr(v) for v in numbers.tolist()]).strata
    held = np.array(split(strata, None, 0.2, seed)) == "validation"
    low, high = np.quantile(numbers, [0.3, 0.7])
    assert held.any()
    if count >= 50:
        assert (numbers[held] < low).any()
        assert (numbers[held] > high).any()


def test_a_split_of_label_sets_holds_out_of_rare_labels_too() -> None:
    from graftwork.data.splits import split

    sets = [["common"]] * 50 + [["common", f"odd{n}", "rare"] for n in range(10)]
    strata = load_task("multilabel").encode([*sets, []]).strata
    held = [word == "validation" for word in split(strata, None, 0.2, 0)]
    assert sum(h for h, labels in zip(held, sets, strict=False) if labels == ["common"]) == 10
