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
    assert rows["commands"]["accuracy"] >= rows["commands"]["baseline"]
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
