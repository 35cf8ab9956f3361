"""What tasks say of their answers for a report: confusions, figures by label, values, mistakes."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

import graftwork as gw
from graftwork.tasks.label_parts import LISTED, MOST, confusion, label_table
from graftwork.tasks.parts import part_json
from graftwork.tasks.task import load_task


def judged(task: str, labels: list, outputs: torch.Tensor):
    made = load_task(task)
    known = made.encode(labels)
    return made, outputs, known.values, made.calibrate(outputs, known.values, known)


def table_of(names: list[str], true: np.ndarray, said: np.ndarray) -> gw.AnswerTable:
    counts = (np.bincount(found, minlength=len(names)) for found in (true[true == said], true, said))
    return label_table(names, *counts)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_confusions_and_figures_by_label_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    true, said = np.array(pairs).T
    names = ["a", "b", "c", "d"]
    found = confusion(names, true, said)
    assert np.array_equal(found.counts, confusion_matrix(true, said, labels=range(4)))
    table = table_of(names, true, said)
    wanted = precision_recall_fscore_support(true, said, labels=range(4), zero_division=0)
    rows = {row[0]: row[1:] for row in table.rows}
    assert set(rows) == {names[k] for k in {*true.tolist(), *said.tolist()}}
    for name, (count, *figures) in rows.items():
        k = names.index(name)
        assert count == wanted[3][k]
        assert figures == pytest.approx([wanted[0][k], wanted[1][k], wanted[2][k]], abs=1e-4)
    assert [row[4] for row in table.rows] == sorted(row[4] for row in table.rows)


def test_the_largest_confusions_are_named_and_of_many_labels_the_worst_are_shown() -> None:
    names = [f"label{k:03d}" for k in range(150)]
    true = np.repeat(np.arange(150), 4)
    said = true.copy()
    said[4 * 140 : 4 * 140 + 3] = 7
    found = confusion(names, true, said)
    assert found.says == (
        f"Most often 'label140' is taken for 'label007': 3 of 4 times. Of 150 labels those {MOST} are shown that are confused most."
    )
    assert found.named == ["'label140' taken for 'label007': 3 of 4"]
    assert len(found.rows) == len(found.counts) == MOST
    assert {"label007", "label140"} <= set(found.rows)
    table = table_of(names, true, said)
    assert len(table.rows) == LISTED
    assert table.rows[0][0] == "label140"


def test_perfect_answers_have_no_mistakes_and_say_so() -> None:
    task, outputs, targets, known = judged("classify", ["a", "b"] * 5, torch.eye(2).repeat(5, 1) * 9)
    confused, table = task.parts(outputs, targets, known)
    assert (confused.says, confused.named) == ("All 10 answers are right.", [])
    assert table.says == "Each is found without a mistake."
    assert list(task.mistakes(outputs, targets, known)) == []


def test_the_surest_wrong_answers_come_first() -> None:
    outputs = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 5.0], [9.0, 0.0], [0.0, 3.0]])
    task, outputs, targets, known = judged("classify", ["b", "a", "a", "a", "b"], outputs)
    found = list(task.mistakes(outputs, targets, known))
    assert [(one.row, one.said) for one in found] == [(2, "b"), (0, "a"), (1, "b")]
    assert [one.note for one in found] == ["99% sure", "88% sure", "73% sure"]


def test_label_sets_are_judged_by_thresholds_that_did_not_see_them() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = [["a", "b"] if k % 3 == 0 else ["a"] if k % 3 == 1 else ["b"] for k in range(60)]
    task, outputs, targets, known = judged("multilabel", labels, torch.randn(60, 2, generator=generator))
    (table,) = task.parts(outputs, targets, known)
    assert np.mean([row[4] for row in table.rows]) == pytest.approx(
        task.validate(outputs, targets, known)["macro_f1"], abs=1e-3
    )
    assert table.columns[-1] == "threshold"
    mistakes = list(task.mistakes(outputs, targets, known))
    assert all(one.said != task.show(labels[one.row]) for one in mistakes)
    assert len(mistakes) == round(60 * (1 - task.validate(outputs, targets, known)["subset_accuracy"]))


def test_values_are_points_and_the_furthest_off_come_first() -> None:
    labels = [str(value) for value in (1.0, 2.0, 3.0, 4.0)]
    task, outputs, targets, known = judged("regress", labels, torch.zeros(4, 1))
    outputs = targets.clone()
    outputs[2] += 1
    (plot,) = task.parts(outputs, targets, known)
    assert [point[0] for point in plot.points] == pytest.approx([1, 2, 3, 4], abs=1e-3)
    assert plot.says.startswith("Half of the answers are off by less than")
    first = next(iter(task.mistakes(outputs, targets, known)))
    assert (first.row, first.said, first.note) == (2, "4.118", "off by 1.118")


def test_a_task_that_says_nothing_shows_the_examples_with_the_highest_loss() -> None:
    """What a task of a plugin has without a line for it."""
    task, outputs, targets, known = judged(
        "classify", ["a", "b", "a"], torch.tensor([[0.0, 4.0], [0.0, 4.0], [0.0, 1.0]])
    )
    found = list(islice(gw.Task.mistakes(task, outputs, targets, known), 2))
    assert [(one.row, one.said) for one in found] == [(0, "b"), (2, "b")]
    assert found[0].note == "loss 4.02"
    assert gw.Task.parts(task, outputs, targets, known) == []


def test_parts_are_json_with_their_kind() -> None:
    parts = [
        gw.HeatMap("t", "s.", ["a"], ["a"], [[1]]),
        gw.AnswerTable("t", "s.", ["label"], [["a"]]),
        gw.ScatterPlot("t", "s.", "x", "y", [(1.0, 2.0)]),
    ]
    assert [part_json(part)["kind"] for part in parts] == ["heat_map", "table", "scatter"]
