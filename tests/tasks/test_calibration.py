"""Probabilities that can be believed: the expected calibration error, the temperature, and who chooses it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from graftwork import Targets
from graftwork.tasks.calibration import BINS, FEWEST, FOLDS, best_temperature, calibration_error, reliability, temper
from graftwork.tasks.task import load_task

CLASSIFY, MULTILABEL = load_task("classify"), load_task("multilabel")
KNOWN = Targets(("a", "b", "c"), torch.zeros(0))
pairs = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def drawn(count: int, sharpened: float = 1.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits `(N, 3)` and labels drawn by their probabilities; then the logits made so many times sharper."""
    rng = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, 3, generator=rng, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(1), 1, generator=rng)[:, 0]
    return logits * sharpened, labels


def by_hand(said: np.ndarray, right: np.ndarray) -> float:
    """Guo et al. 2017, equation 3, bin by bin."""
    total = 0.0
    for k in range(BINS):
        inside = [i for i, p in enumerate(said) if k <= p * BINS < k + 1 or (p == 1 and k == BINS - 1)]
        if inside:
            accuracy = sum(bool(right[i]) for i in inside) / len(inside)
            confidence = sum(float(said[i]) for i in inside) / len(inside)
            total += len(inside) / len(said) * abs(accuracy - confidence)
    return total


@given(pairs)
def test_the_calibration_error_is_that_of_the_paper_and_lies_between_0_and_1(rows) -> None:
    said, right = np.array([p for p, _ in rows]), np.array([r for _, r in rows])
    assert calibration_error(said, right) == pytest.approx(by_hand(said, right), abs=1e-12)
    assert 0 <= calibration_error(said, right) <= 1


def test_the_calibration_error_is_that_of_torchmetrics() -> None:
    outputs, labels = drawn(500, 1.7)
    said, label = outputs.softmax(1).max(1)
    # torchmetrics 1.9.0: multiclass_calibration_error(outputs.softmax(1), labels, num_classes=3, n_bins=15)
    assert calibration_error(said.numpy(), (label == labels).numpy()) == pytest.approx(0.0811562, abs=1e-6)


@given(pairs, st.randoms(use_true_random=False))
def test_the_order_of_examples_changes_no_calibration_error(rows, rng) -> None:
    shuffled = rng.sample(rows, len(rows))
    one, other = (
        calibration_error(np.array([p for p, _ in some]), np.array([r for _, r in some])) for some in (rows, shuffled)
    )
    assert one == pytest.approx(other, abs=1e-12)


@given(st.integers(1, 9), st.integers(1, 20))
def test_probabilities_that_come_true_as_often_as_they_say_have_no_calibration_error(tenths, times) -> None:
    said, right = np.full(10 * times, tenths / 10), np.arange(10 * times) % 10 < tenths
    assert calibration_error(said, right) == pytest.approx(0, abs=1e-12)
    assert calibration_error(said, ~right) == pytest.approx(abs(1 - tenths / 5), abs=1e-12)


def test_bins_say_how_often_answers_of_about_a_probability_are_right() -> None:
    low, high = reliability(np.array([0.5, 0.5, 0.99]), np.array([True, False, True]))
    assert low == {"low": 7 / 15, "high": 8 / 15, "confidence": 0.5, "accuracy": 0.5, "count": 2}
    assert high["count"] == 1


@given(arrays(np.float64, (5, 3), elements=st.floats(-20, 20)), st.floats(0.05, 20))
def test_no_temperature_changes_a_label(logits, temperature) -> None:
    outputs = torch.from_numpy(logits)
    labels = [answer["label"] for answer in CLASSIFY.decode(outputs, KNOWN)]
    tempered = CLASSIFY.decode(outputs, Targets(KNOWN.names, KNOWN.values, {"temperature": temperature}))
    for label, answer in zip(labels, tempered, strict=True):
        assert answer["probabilities"][label] == pytest.approx(max(answer["probabilities"].values()))
        assert sum(answer["probabilities"].values()) == pytest.approx(1)


@pytest.mark.parametrize("sharpened", [0.4, 3.0])
def test_a_temperature_undoes_what_made_outputs_too_sharp_or_too_dull(sharpened) -> None:
    outputs, labels = drawn(600, sharpened)
    known = CLASSIFY.calibrate(outputs, labels, KNOWN)
    assert known.learned["temperature"] == pytest.approx(sharpened, rel=0.15)
    fresh, truth = drawn(2000, sharpened, seed=1)
    before, after = (CLASSIFY.metrics(fresh, truth, known) for known in (KNOWN, known))
    assert after["log_loss"] < before["log_loss"]
    assert after["ece"] < 0.03 < before["ece"]
    assert after["accuracy"] == before["accuracy"]


def test_the_temperature_is_that_of_the_least_loss_of_many() -> None:
    outputs, labels = drawn(1500, 2.0)
    found = best_temperature(outputs, labels, CLASSIFY.loss)
    losses = {t: float(CLASSIFY.loss(outputs / t, labels).mean()) for t in (found, found * 1.1, found / 1.1)}
    assert min(losses, key=losses.__getitem__) == found


def test_a_few_examples_choose_no_temperature() -> None:
    assert temper(*drawn(FEWEST - 1, 9.0), CLASSIFY.loss).temperature == 1
    assert temper(*drawn(FEWEST, 9.0), CLASSIFY.loss).temperature > 2


def test_outputs_that_can_be_believed_are_mostly_left_as_they_are() -> None:
    """By noise, the best temperature of some examples is never 1; only what holds for others counts."""
    found = [temper(*drawn(60, seed=seed), CLASSIFY.loss).temperature for seed in range(100)]
    assert sum(temperature == 1 for temperature in found) > 70


def test_examples_that_are_all_right_do_not_make_answers_certain() -> None:
    labels = torch.arange(60) % 3
    outputs = 3 * torch.nn.functional.one_hot(labels, 3).double()
    known = CLASSIFY.calibrate(outputs, labels, KNOWN)
    (answer,) = CLASSIFY.decode(outputs[:1], known)
    assert 0.95 < answer["probabilities"]["a"] < 1 - 1 / 120


def test_held_out_figures_are_of_examples_that_did_not_choose_the_temperature() -> None:
    """Whatever the labels of one fold are made into, the outputs of that fold are tempered as they were."""
    outputs, labels = drawn(400, 3.0)
    each = temper(outputs, labels, CLASSIFY.loss).each[:, 0]
    found = each.unique().tolist()
    assert len(found) == FOLDS
    fold = each == found[0]
    assert fold.sum() == 400 / FOLDS
    moved = torch.where(fold & (torch.arange(400) % 4 == 0), (labels + 1) % 3, labels)
    again = temper(outputs, moved, CLASSIFY.loss).each[:, 0]
    assert again[fold].unique().tolist() == [found[0]]
    assert not set(again[~fold].tolist()) & set(found[1:])
    found = CLASSIFY.calibration(outputs, labels, KNOWN)
    validated = CLASSIFY.validate(outputs, labels, KNOWN)
    assert (validated["ece"], validated["log_loss"]) == pytest.approx((found["ece_after"], found["log_loss_after"]))


@pytest.mark.parametrize("task", ["classify", "multilabel"])
def test_a_task_says_how_far_its_probabilities_can_be_believed(task) -> None:
    outputs, labels = drawn(400, 3.0)
    if task == "multilabel":
        labels = (torch.rand(400, 3, generator=torch.Generator().manual_seed(0)) < (outputs / 3).sigmoid()).float()
    found = load_task(task).calibration(outputs, labels, KNOWN)
    assert found is not None
    assert found["temperature"] == pytest.approx(3, rel=0.2)
    assert found["log_loss_after"] < found["log_loss_before"]
    assert found["ece_after"] < found["ece_before"]
    assert sum(one["count"] for one in found["bins"]) == (400 if task == "classify" else 1200)
    assert all(one["low"] <= one["confidence"] <= one["high"] for one in found["bins"])
    assert load_task("regress").calibration(outputs, outputs, KNOWN) is None


def test_thresholds_of_labels_are_chosen_after_the_temperature() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(600, 2, generator=rng, dtype=torch.float64) - 1
    there = (torch.rand(600, 2, generator=rng) < logits.sigmoid()).float()
    known = MULTILABEL.calibrate(4 * logits, there, Targets(("a", "b"), torch.zeros(0)))
    assert known.learned["temperature"] == pytest.approx(4, rel=0.2)
    plain = MULTILABEL.calibrate(logits, there, Targets(("a", "b"), torch.zeros(0)))
    assert known.learned["thresholds"] == pytest.approx(plain.learned["thresholds"], abs=0.05)
    said = [answer["labels"] for answer in MULTILABEL.decode(4 * logits, known)]
    assert said == [answer["labels"] for answer in MULTILABEL.decode(logits, plain)]


def test_targets_of_runs_from_before_there_were_temperatures_answer_as_they_did() -> None:
    outputs = torch.tensor([[1.0, 2.0, 0.0]])
    (answer,) = CLASSIFY.decode(outputs, Targets.from_json({"names": ["a", "b", "c"]}))
    assert answer["probabilities"]["b"] == pytest.approx(math.exp(2) / (math.exp(1) + math.exp(2) + 1))
    old = Targets.from_json({"names": ["a", "b", "c"], "thresholds": [0.5, 0.5, 0.5]})
    assert MULTILABEL.decode(outputs, old)[0]["labels"] == ["a", "b", "c"]


def test_an_answer_below_the_least_probability_has_no_label_and_says_so() -> None:
    answer = {"label": "a", "probabilities": {"a": 0.7, "b": 0.3}}
    assert CLASSIFY.sure(answer, 0.7) == answer
    assert CLASSIFY.sure(answer, 0.71) == {**answer, "label": None, "abstained": True}
    assert CLASSIFY.cells(CLASSIFY.sure(answer, 0.9)) == ("(not sure)", "0.700", "b 0.300")


def test_labels_below_the_least_probability_are_left_out_and_none_joins_that_its_threshold_left_out() -> None:
    answer = {"labels": ["a", "b"], "probabilities": {"a": 0.7, "b": 0.3, "c": 0.6}}
    assert MULTILABEL.sure(answer, 0.5)["labels"] == ["a"]
    assert MULTILABEL.sure(answer, 0.0) == answer


@pytest.mark.parametrize(("task", "key"), [("tag", "entities"), ("detect", "boxes")])
def test_entities_and_boxes_below_the_least_probability_are_left_out(task, key) -> None:
    found = [{"label": "a", "probability": p} for p in (0.2, 0.6)]
    assert load_task(task).sure({key: found}, 0.5) == {key: found[1:]}
