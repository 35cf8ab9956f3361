"""The tour: what has weights at hand is fitted beside a baseline, what has none says why, and a mismatch is shown."""

from __future__ import annotations

import pytest


def test_the_tour_fits_what_has_weights_and_shows_a_refusal(shell, tmp_path) -> None:
    result = shell.json("demo", GRAFTWORK_PLUGINS="text,audio,audio-starter", HF_HUB_CACHE=str(tmp_path))
    rows = {row["name"]: row for row in result["demos"]}
    assert rows["messages"]["backbone"] == "text/minilm"
    assert rows["messages"]["n"] == 400
    assert rows["messages"]["accuracy"] > rows["messages"]["baseline"] + 0.05
    assert rows["messages"]["baseline_name"] == "bag of words"
    assert rows["commands"]["n"] == 240
    assert rows["commands"]["backbone"] == "audio/wav2vec2-tiny"
    assert rows["commands"]["accuracy"] > 0.95  # of voices that were not trained on
    assert rows["commands"]["baseline"] < 0.7
    assert rows["commands"]["baseline_name"] == "log-mel mean and deviation"
    assert result["refused"]["message"].startswith("Backbone 'text/bert-base' reads text; folder '")
    assert "holds audio (240 files, 22 050 Hz)" in result["refused"]["message"]


def test_the_tour_says_why_a_demo_is_skipped(shell, tmp_path) -> None:
    (row,) = shell.json("demo", GRAFTWORK_PLUGINS="audio", HF_HUB_CACHE=str(tmp_path))["demos"]
    assert row["n"] == 240
    assert row["skipped"].startswith("No audio backbone has its weights on this machine")


def test_without_a_demo_it_says_what_to_install(shell) -> None:
    error = shell.json("demo", code=2, GRAFTWORK_PLUGINS="")["error"]
    assert error["message"] == "No installed plugin brings a demo."


@pytest.mark.parametrize(
    ("accuracy", "baseline", "verdict"),
    [(0.9, 0.8, "transfer helped"), (0.8, 0.9, "transfer did not help"), (0.8, 0.803, "no difference")],
)
def test_the_verdict_says_so_when_transfer_did_not_help(accuracy, baseline, verdict, capsys) -> None:
    from graftwork.cli.demo import render

    row = {
        "name": "d",
        "modality": "m",
        "backbone": "b",
        "n": 1,
        "baseline_name": "x",
        "seconds": 1.0,
        "metric": "accuracy",
    }
    render({"demos": [{**row, "accuracy": accuracy, "baseline": baseline}], "refused": None})
    assert verdict in capsys.readouterr().out


def test_a_demo_of_its_own_task_keeps_its_data_and_says_what_is_next(monkeypatch, tmp_path, capfd) -> None:
    from graftwork import demo
    from graftwork.cli.app import main

    monkeypatch.setattr("graftwork_text.tag.demo.MESSAGES", 30)
    kept = tmp_path / "names"

    def fit(*given, **named):
        assert (kept / "entities.jsonl").is_file(), "the data are there before the fit begins"
        return fitted(*given, **named)

    fitted = demo.fit
    monkeypatch.setattr(demo, "fit", fit)
    with pytest.raises(SystemExit) as ended:
        main(["demo", "entities", "--data", str(kept)])
    out, err = capfd.readouterr()
    assert ended.value.code == 0
    assert "entities" in out
    assert "(nothing)" in out
    assert f"Next: graftwork check {kept / 'entities.jsonl'} --task tag" in out + err


@pytest.mark.parametrize(
    ("name", "task", "figure", "of_none"),
    [
        ("digit-strings", "transcribe", "wer", "nothing"),
        ("masks", "segment", "mean_iou", "majority_iou"),
        ("boxes", "detect", "map", "nothing"),
    ],
)
def test_each_task_has_a_demo_that_is_set_beside_the_answer_without_looking(
    name, task, figure, of_none, monkeypatch, tmp_path
) -> None:
    from graftwork import demo
    from graftwork.runs import fitting

    monkeypatch.setattr("graftwork_audio.transcribe.demo.CLIPS", 12)
    monkeypatch.setattr("graftwork_image.shapes.PICTURES", 12)
    steps = {} if task == "segment" else {"epochs": 1}  # the head of the others trains by steps
    short = steps if task == "transcribe" else {**steps, "options": {"size": 64}}
    monkeypatch.setattr(demo, "fit", lambda *given, **named: fitting.fit(*given, **{**named, **short}))
    (row,) = demo.run(name, tmp_path / "kept")["demos"]
    assert (row["task"], row["metric"], row["baseline_name"]) == (task, figure, of_none)
    assert row["n"] == 12
    assert 0 <= row["baseline"] <= 1
    assert row["data"] == str(tmp_path / "kept")
    assert any((tmp_path / "kept").iterdir())


def test_data_that_come_with_a_package_are_copied_where_they_are_to_be_kept(tmp_path, monkeypatch) -> None:
    from graftwork import demo

    monkeypatch.setattr(demo, "_tour", lambda tour, data, watch: {"name": tour.name, "n": len(data)})
    (messages,) = demo.run("messages", tmp_path / "table")["demos"]
    (commands,) = demo.run("commands", tmp_path / "clips")["demos"]
    assert messages["data"] == str(tmp_path / "table" / "messages.csv")
    assert (messages["n"], commands["n"]) == (400, 240)
    assert len(list((tmp_path / "clips").rglob("*.*"))) == 240


def test_less_is_better_where_the_figure_counts_errors(capsys) -> None:
    from graftwork.cli.demo import render

    row = {
        "name": "d",
        "modality": "m",
        "backbone": "b",
        "n": 1,
        "baseline_name": "nothing",
        "seconds": 1.0,
        "metric": "wer",
    }
    render({"demos": [{**row, "higher_is_better": False, "wer": 0.4, "baseline": 1.0}], "refused": None})
    assert "transfer helped" in capsys.readouterr().out
