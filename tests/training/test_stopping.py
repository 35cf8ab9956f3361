"""Ctrl-C and SIGTERM: the step is finished and kept, and the second time the process ends at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import graftwork as gw
from graftwork.runtime.stopping import asked_to_stop

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


STOPPED_ONCE = """
import signal, sys
import graftwork as gw
from graftwork.runtime.stopping import Stopped

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may have had it ignored
data, backbone, out = sys.argv[1:]
said = {"freeze": "all", "epochs": 3, "batch_size": 8, "device": "cpu", "patience": 0, "cache": False}

def stop(at):
    if at.step == 5 and not at.done:
        signal.raise_signal(signal.SIGINT)

try:
    gw.fit(data, backbone, out=f"{out}/run", watch=stop, **said)
except Stopped as stopped:
    print(stopped)
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
gw.fit(data, backbone, out=f"{out}/run", resume=True, **said)
gw.fit(data, backbone, out=f"{out}/whole", **said)
"""


def test_what_goes_on_after_it_was_stopped_ends_in_the_same_bits(messages, tiny_bert, tmp_path) -> None:
    """In a process of its own: a signal too many would end the one that runs the tests."""
    command = [sys.executable, "-c", STOPPED_ONCE, str(messages), f"local:{tiny_bert}", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    stopped, restored = done.stdout.splitlines()
    assert stopped.startswith("Stopped after step 5 of")
    assert restored == "True"
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
