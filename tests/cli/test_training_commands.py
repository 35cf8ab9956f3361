"""Training by steps from the command line: the plan, a kill, going on, and what is said."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from safetensors.torch import load_file


def test_freeze_prints_stages_parameters_and_rates_epoch_by_epoch(shell) -> None:
    found = shell.json("freeze", "--backbone", "text/minilm", "gradual:1+layerwise:0.5", "--epochs", "3")
    assert [(phase["first"], phase["last"]) for phase in found["phases"]] == [(1, 1), (2, 2), (3, 3)]
    trained = [[row["stage"] for row in phase["stages"] if row["trained"]] for phase in found["phases"]]
    assert trained == [["block6"], ["block5", "block6"], ["block4", "block5", "block6"]]
    last = {row["stage"]: row for row in found["phases"][2]["stages"]}
    assert last["block6"] == {"stage": "block6", "trained": 1_774_464, "frozen": 0, "lr": 2.5e-5}
    assert last["block5"]["lr"] == 1.25e-5
    assert last["embeddings"] == {"stage": "embeddings", "trained": 0, "frozen": 11_918_592, "lr": 0.0}
    words = shell("freeze", "--backbone", "image/efficientnet-lite0", "norm").stdout
    assert "block16" in words
    assert "recipe: fastai's fine_tune" in words
    error = shell.json("freeze", "--backbone", "image/efficientnet-lite0", "lora:r=4", code=2)["error"]
    assert error["message"].startswith("The freeze policy lora:r=4 adapts linear layers, and the stages stem, block1,")
    error = shell.json("freeze", "--backbone", "text/minilm", "last:8", code=2)["error"]
    assert error["message"].startswith("The freeze policy 'last:8' trains 8 stages; this encoder has 7: embeddings,")


def test_a_fit_that_is_killed_goes_on_to_the_same_weights(shell, messages, tiny_bert, tmp_path) -> None:
    words = [
        "fit", str(messages), "--backbone", f"local:{tiny_bert}", "--freeze", "all", "--epochs", "8", "--batch-size", "4",
        "--patience", "0", "--checkpoint-every", "0",
    ]  # fmt: skip
    whole = shell(*words, "--out", "whole")
    assert whole.returncode == 0, whole.stderr
    assert "epoch 1/8: loss " in whole.stderr
    assert ", validation accuracy " in whole.stderr
    assert "3 stages trained for 8 epochs (best: " in whole.stdout
    process = subprocess.Popen(
        [sys.executable, "-m", "graftwork", *words, "--out", "killed"],
        cwd=tmp_path, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    unfinished = tmp_path / "killed.unfinished"
    end = time.monotonic() + 100
    while not list(unfinished.glob("step-*")) and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed").exists()
    again = shell(*words, "--out", "killed")
    assert again.returncode == 2
    assert "was stopped before its end" in again.stderr
    resumed = shell(*words, "--out", "killed", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert not unfinished.exists()
    for file in ("head.safetensors", "backbone.safetensors"):
        first, second = (load_file(Path(tmp_path, name, file)) for name in ("whole", "killed"))
        assert all((first[name] == second[name]).all() for name in first)


def test_what_is_meant_for_steps_is_refused_for_a_head_that_is_solved(shell, messages, tiny_bert) -> None:
    error = shell.json(
        "fit", str(messages), "--backbone", f"local:{tiny_bert}", "--label-smoothing", "0.1", "--out", "run", code=2
    )["error"]
    assert error["message"] == (
        "The freeze policy 'head' solves the head exactly, without steps, so there is nothing that --label-smoothing "
        "could change."
    )


def test_a_terminal_sees_a_live_line_with_loss_metric_rate_speed_and_time_left(monkeypatch) -> None:
    from graftwork.cli.progress import watching
    from graftwork.training.progress import Progress

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with watching() as watch:
        watch(Progress(1, 3, 2, 9, 0.5, 1e-5, 40.0, 65.0, "accuracy", None))
        watch(Progress(2, 3, 5, 9, 0.25, 1e-5, 40.0, 5.0, "accuracy", 0.875))
        watch(Progress(2, 3, 6, 9, 0.25, 0.0, 0.0, 0.0, "accuracy", 0.9, done=True))
    lines = terminal.getvalue().split("\r\x1b[K")
    assert lines[1] == "epoch 1/3, step 2/9: loss 0.5000, rate 1.0e-05, 40 examples/s, 1:05 left"
    assert (
        lines[2]
        == "epoch 2/3, step 5/9: loss 0.2500, validation accuracy 0.8750, rate 1.0e-05, 40 examples/s, 0:05 left"
    )
    assert lines[3] == "epoch 2/3: loss 0.2500, validation accuracy 0.9000\n"
