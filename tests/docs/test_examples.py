"""The scripts in examples/: each prints its task's figures and writes its answers as files."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import graftwork as gw

EXAMPLES = Path(__file__).parents[2] / "examples"
WRITTEN = {
    "tagging": {"found/entities.conll", "found/entities.jsonl"},
    "transcription": {"heard/metadata.csv"},
    "segmentation": {"painted/masks/001.png", "painted/masks/classes.txt", "painted/drawn/003.jpg"},
    "detection": {"found/annotations.json", "found/drawn/001.jpg"},
}


def test_every_script_is_run_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == WRITTEN.keys()


@pytest.mark.parametrize("name", WRITTEN)
def test_an_example_fits_predicts_and_writes_its_answers(name, quick, tmp_path, capsys) -> None:
    runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](tmp_path / "made")
    run, printed = gw.load(tmp_path / "made" / "run"), capsys.readouterr().out
    assert [
        figure.words for figure in run.task.figures if f"{figure.words}: {run.metrics[figure.name]:.3f}" not in printed
    ] == []
    for place in WRITTEN[name]:
        assert (tmp_path / "made" / place).stat().st_size > 0
