"""Ctrl-C and SIGTERM: the step is finished and kept, and the second time the process ends at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import graftwork as gw
from graftwork.runtime.stopping import Stopped, asked_to_stop
from graftwork.training.progress import Progress

LONG = ["--freeze", "all", "--epochs", "400", "--batch-size", "4", "--device", "cpu", "--patience", "0", "--no-cache"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_fit_that_is_asked_to_stop_says_what_is_kept_and_goes_on(
    messages, tiny_bert, tmp_path, number, status
) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "graftwork", "fit", str(messages), "--backbone", f"local:{tiny_bert}"]
    going = subprocess.Popen(
        [*command, "--out", str(out), "--json", *LONG], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    log = tmp_path / "run.unfinished" / "log.csv"
    until = time.monotonic() + 120
    while not (log.is_file() and log.read_text().count("\n") > 3) and time.monotonic() < until and going.poll() is None:
        time.sleep(0.05)
    going.send_signal(number)
    stdout, stderr = going.communicate(timeout=60)
    assert going.returncode == status, stderr
    assert "Finishing the step; once more to leave at once." in stderr
    said = json.loads(stdout)["error"]
    assert said["type"] == "Interrupted"
    assert f"which '{tmp_path / 'run.unfinished'}' keeps" in said["message"]
    assert said["hint"] == "Go on: graftwork fit ... --resume"
    step = int(said["message"].split("step ")[1].split()[0])
    assert (tmp_path / "run.unfinished" / f"step-{step:08d}.safetensors").is_file()


@pytest.fixture
def usual_handler() -> Iterator[None]:
    """Whoever runs the tests may have had the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_what_goes_on_after_it_was_stopped_ends_in_the_same_bits(messages, tiny_bert, tmp_path, usual_handler) -> None:
    said = {"freeze": "all", "epochs": 3, "batch_size": 8, "device": "cpu", "patience": 0, "cache": False}

    def stop(at: Progress) -> None:
        if at.step == 5 and not at.done:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped, match="Stopped after step 5 of"):
        gw.fit(messages, f"local:{tiny_bert}", out=tmp_path / "run", watch=stop, **said)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    gw.fit(messages, f"local:{tiny_bert}", out=tmp_path / "run", resume=True, **said)
    gw.fit(messages, f"local:{tiny_bert}", out=tmp_path / "whole", **said)
    one, two = (load_file(tmp_path / name / "head.safetensors") for name in ("run", "whole"))
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def test_the_second_signal_ends_the_process_at_once() -> None:
    script = (
        "import os, signal, time\n"
        "from graftwork.runtime.stopping import asked_to_stop\n"
        "with asked_to_stop():\n"
        "    os.kill(os.getpid(), signal.SIGTERM); os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert done.returncode == 143


def test_handlers_of_others_stay() -> None:
    mine = lambda *_: None  # noqa: E731
    before = signal.signal(signal.SIGINT, mine)
    try:
        with asked_to_stop():
            assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("name", ["request.json", ".step-00000001.safetensors.part", "log.csv"])
def test_no_link_is_written_through(messages, tiny_bert, tmp_path: Path, name: str) -> None:
    (tmp_path / "precious").write_text("precious")
    folder = tmp_path / "run.unfinished"
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / "precious")
    with pytest.raises(gw.RunError, match=r"(is a link; a fit writes through none|was stopped before its end)"):
        gw.fit(messages, f"local:{tiny_bert}", freeze="all", epochs=1, device="cpu", out=tmp_path / "run")
    assert (tmp_path / "precious").read_text() == "precious"
