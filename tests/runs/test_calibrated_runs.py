"""Runs whose probabilities are tempered, and which abstain where a label is not probable enough."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

import graftwork as gw
from graftwork import UsageError
from graftwork.runs import integrity

WEAK = 0.03


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 texts about parcels and cards, every twentieth with the label of the others."""
    words = ["money", "order", "refund", "the", "back"]
    texts = [f"{('where is my parcel please', 'i lost my card help')[n % 2]} {words[n % 5]}" for n in range(300)]
    rows = [{"text": text, "label": "ab"[(n % 2) ^ (n % 20 == 0)]} for n, text in enumerate(texts)]
    path = tmp_path_factory.mktemp("table") / "noisy.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def run(table: Path, tiny_bert: Path) -> gw.Run:
    """Penalised so much that its probabilities are near a half."""
    return gw.fit(table, f"local:{tiny_bert}", c=WEAK, refit=False, cache=False)


def test_a_run_says_how_far_its_probabilities_can_be_believed_and_keeps_the_temperature(run, tmp_path) -> None:
    found = run.record["calibration"]
    assert found["temperature"] == run.targets.learned["temperature"] < 0.8
    assert (found["ece_after"], found["log_loss_after"]) == pytest.approx((run.metrics["ece"], run.metrics["log_loss"]))
    assert found["log_loss_after"] < found["log_loss_before"]
    assert sum(one["count"] for one in found["bins"]) == run.record["n_val"]
    again = gw.load(run.save(tmp_path / "run"))
    assert again.record["calibration"] == found
    assert again.predict("card money") == run.predict("card money")


def test_a_run_from_before_there_were_temperatures_answers_as_it_did(run, tmp_path) -> None:
    folder = run.save(tmp_path / "run")
    record = json.loads((folder / "run.json").read_text())
    del record["calibration"], record["targets"]["temperature"]
    sealed = integrity.sealed(record, load_file(folder / "head.safetensors"))
    (folder / "run.json").write_text(json.dumps(sealed))
    old, new = (list(one.predict("card money")[0]["probabilities"].values()) for one in (gw.load(folder), run))
    odds = np.log(old[0] / old[1]) / np.log(new[0] / new[1])
    assert odds == pytest.approx(run.record["calibration"]["temperature"])


def test_a_run_whose_stages_train_is_tempered_too(table, tiny_bert) -> None:
    run = gw.fit(table, f"local:{tiny_bert}", freeze="all", epochs=6, lr=3e-3, label_smoothing=0.6, cache=False)
    assert run.record["calibration"]["temperature"] == run.targets.learned["temperature"] < 0.8
    assert run.metrics["ece"] == pytest.approx(run.record["calibration"]["ece_after"])


def test_a_task_without_probabilities_has_no_calibration(table, tiny_bert, tmp_path) -> None:
    (tmp_path / "t.csv").write_text("text,value\n" + "".join(f"card {'help ' * (n % 5)},{n % 5}\n" for n in range(60)))
    run = gw.fit(tmp_path / "t.csv", f"local:{tiny_bert}", task="regress")
    assert run.record["calibration"] is None
    words = "The task 'regress' has no use for --min-probability 0.5: its answers are no labels with probabilities."
    with pytest.raises(UsageError) as caught:
        run.predict("card", min_probability=0.5)
    assert str(caught.value).startswith(words)


def test_answers_below_the_least_probability_have_no_label(run) -> None:
    plain = run.predict(["i lost my card help", "where is the card", ""])
    assert all("abstained" not in answer for answer in plain)
    least = sorted(max(answer["probabilities"].values()) for answer in plain[:2])[1]
    sure = run.predict(["i lost my card help", "where is the card", ""], min_probability=least)
    labels = [answer["label"] for answer in sure]
    assert labels.count(None) == 2
    (abstained,) = [answer for answer in sure if "abstained" in answer]
    assert abstained in [{**answer, "label": None, "abstained": True} for answer in plain]
    assert plain[2] == sure[2]
    (alone,) = run.stream(
        ["i lost my card help"], min_probability=least
    )  # in a batch of one, which may round otherwise
    assert alone.pop("probabilities") == pytest.approx(sure[0].pop("probabilities"), abs=1e-6)
    assert alone == sure[0]


@pytest.mark.parametrize("least", [-0.1, 1.5, float("nan")])
def test_what_is_no_probability_is_refused(run, least) -> None:
    with pytest.raises(UsageError) as caught:
        run.predict("card", min_probability=least)
    assert f"--min-probability {least:g} is given; a probability from 0 to 1 is accepted." in str(caught.value)
    assert "Write, for example: --min-probability 0.8" in str(caught.value)


def test_a_classifier_of_scikit_learn_gives_the_probabilities_of_its_run(table, tiny_bert) -> None:
    from graftwork.sklearn import TransferClassifier

    rows = [json.loads(line) for line in table.read_text().splitlines()]
    texts = [row["text"] for row in rows]
    model = TransferClassifier(f"local:{tiny_bert}", C=WEAK, cache=False).fit(texts, [row["label"] for row in rows])
    assert model.run_.record["calibration"]["temperature"] != 1
    answers = model.run_.predict(texts[:5])
    assert model.predict_proba(texts[:5]).tolist() == [list(one["probabilities"].values()) for one in answers]
