"""Every wait has an end and a word: a process that is stopped stops nobody else."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from graftwork.errors import StoreError
from graftwork.features import leases
from graftwork.features.leases import compute_missing
from graftwork.features.shards import Row
from graftwork.features.store import Store
from graftwork.runtime import locks
from graftwork.runtime.locks import Waiting, locked

ABOUT = {"backbone": "b", "kind": "features", "precision": "fp32", "weights": "w"}
DIGESTS = [bytes([number]) * 16 for number in range(3)]

LOCKS = """
import sys, time
from pathlib import Path
from graftwork.runtime.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
LEASES = """
import sys, time
from pathlib import Path
from graftwork.features.store import Store
with Store(Path(sys.argv[1])) as kept:
    kept.space({"backbone": "b", "kind": "features", "precision": "fp32", "weights": "w"}).lease(
        [bytes([number]) * 16 for number in range(3)])
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[object]:
    """Start a script that holds something, and stop its process while it does."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, place: Path) -> int:
        process = subprocess.Popen([sys.executable, "-c", script, str(place)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGSTOP)
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_lock_of_a_stopped_process_is_waited_for_and_then_refused_by_name(stopped, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(locks, "SAID", 0.2)
    monkeypatch.setattr(locks, "PATIENCE", 0.6)
    pid, begun = stopped(LOCKS, tmp_path / "lock"), time.monotonic()
    with (
        pytest.warns(Waiting, match=rf"Waiting for process {pid} on .* \(since \d\d:\d\d:\d\d\), which holds a lock"),
        pytest.raises(OSError, match=f"process {pid} on .* has held its lock"),
        locked(tmp_path / "lock"),
    ):
        pass
    assert 0.6 < time.monotonic() - begun < 10


def test_a_lock_whose_file_grows_is_waited_for(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.5)
    script = LOCKS.replace(
        "time.sleep(60)", "[time.sleep(.2) or Path(sys.argv[1]).write_text(str(n)) for n in range(8)]"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "f")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    with locked(tmp_path / "f"):
        assert (tmp_path / "f").read_text() == "7"
    assert process.wait() == 0


def test_a_store_whose_lock_is_held_is_refused_in_a_sentence(stopped, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.3)
    (tmp_path / "store").mkdir()
    stopped(LOCKS, tmp_path / "store" / "lock")
    with pytest.raises(StoreError, match="cannot be opened: process .* has held its lock"):
        Store(tmp_path / "store")


def test_rows_that_a_stopped_process_leased_are_computed_beside_it(stopped, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(leases, "SAID", 0.2)
    monkeypatch.setattr(leases, "PATIENCE", 0.6)
    pid = stopped(LEASES, tmp_path)
    with Store(tmp_path) as kept:
        space, made = kept.space(ABOUT), []

        def compute(groups, count: int) -> None:
            for items in groups:
                made.extend(items)
                space.write([Row(DIGESTS[item], [b"x"]) for item in items])

        wanted = {digest: item for item, digest in enumerate(DIGESTS)}
        with pytest.warns(Waiting, match=rf"Waiting for process {pid} on .*, which computes 3 examples of these"):
            compute_missing(space, wanted, lambda items: [items], compute, lambda item: item in made)
    assert sorted(made) == [0, 1, 2]
