"""Several processes, started as users start them: the same curve as one, work that is divided, and one writer."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

import graftwork as gw
from graftwork.features.store import Store


@pytest.fixture
def still(tiny_bert: Path, tmp_path: Path) -> str:
    """The tiny encoder without dropout: each process draws its own, so that curves would only be alike."""
    folder = shutil.copytree(tiny_bert, tmp_path / "still")
    config = json.loads((folder / "config.json").read_text())
    config.update(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    (folder / "config.json").write_text(json.dumps(config))
    return f"local:{folder}"


def launch(folder: Path, launcher: list[str], *arguments: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", *launcher, "-m", "graftwork", *arguments, "--json"],
        cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_two_processes_reach_the_loss_curve_of_one_with_the_same_batches(still, messages, tmp_path) -> None:
    options = {"epochs": 3, "batch_size": 7, "dropout": 0.0, "lr": 1e-3}
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    one = gw.fit(messages, still, freeze="all", out=tmp_path / "one", **options)
    launcher = ["torch.distributed.run", "--nproc_per_node=2", "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"]
    fit = ["fit", str(messages), "--backbone", still, "--freeze", "all", "--out", "two"]
    two = launch(tmp_path, launcher, *fit, *words)
    assert two["training"]["processes"] == 2
    for first, second in zip(one.record["training"]["history"], two["training"]["history"], strict=True):
        assert first["loss"] == pytest.approx(second["loss"], abs=2e-4)
        assert first["log_loss"] == pytest.approx(second["log_loss"], abs=2e-4)
    for file in ("head", "backbone"):
        first, second = (load_file(tmp_path / name / f"{file}.safetensors") for name in ("one", "two"))
        assert all((first[name] - second[name]).abs().max() < 1e-3 for name in first)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("two")) == ["two"]


def test_extraction_is_divided_and_each_process_writes_its_own_shard(
    tiny_bert, messages, tmp_path, own_store, monkeypatch
) -> None:
    name = f"local:{tiny_bert}"
    one = gw.fit(messages, name, precision="fp32", cache=False)
    launcher = ["accelerate.commands.launch", "--num_processes=2", "--cpu", "--main_process_port=0"]
    fit = ["fit", str(messages), "--backbone", name, "--precision", "fp32"]
    two = launch(tmp_path, launcher, *fit, "--out", "two")
    assert two["metrics"] == pytest.approx(one.metrics, abs=1e-4)
    assert two["n_train"] == 32
    assert two["cache"] == {"hits": 12, "misses": 28}
    assert (tmp_path / "two" / "run.json").is_file()
    with Store() as store:
        assert store.verify() == {"rows": 28, "bad": 0}
    assert gw.fit(messages, name, precision="fp32").record["cache"] == {"hits": 40, "misses": 0}


def test_machines_with_stores_of_their_own_give_each_other_what_they_have(tiny_bert, tmp_path) -> None:
    rows = [
        f"where is my {('card', 'parcel')[n % 2]} and the order number {n} please,{'ab'[n % 2]}" for n in range(300)
    ]
    for name, count in (("few", 60), ("many", 300)):
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *rows[:count]]))
    with socket.create_server(("localhost", 0)) as free:
        world = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(free.getsockname()[1])}

    def start(table: str, rank: int, **environment: str) -> subprocess.Popen[str]:
        fit = ["fit", f"{table}.csv", "--backbone", f"local:{tiny_bert}", "--precision=fp32", "--out", table, "--json"]
        own = {"GRAFTWORK_CACHE": str(tmp_path / f"cache{rank}"), "OMP_NUM_THREADS": "1", **environment}
        return subprocess.Popen(
            [sys.executable, "-m", "graftwork", *fit], cwd=tmp_path, env={**os.environ, **own}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    assert json.loads(start("few", 0).communicate(timeout=100)[0])["cache"] == {"hits": 0, "misses": 60}
    both = [start("many", rank, RANK=str(rank), LOCAL_RANK=str(rank), **world) for rank in range(2)]
    replies = [process.communicate(timeout=200) for process in both]
    assert both[0].returncode == 0, replies[0][1][-2000:]
    found = json.loads(replies[0][0])
    assert found["cache"] == {"hits": 60, "misses": 240}
    one = gw.fit(tmp_path / "many.csv", f"local:{tiny_bert}", precision="fp32", cache=False)
    assert found["metrics"] == pytest.approx(one.metrics, abs=1e-4)
    kept = []
    for rank in range(2):
        with Store(tmp_path / f"cache{rank}" / "features") as store:
            kept.append(store.size()["rows"])
    assert sum(kept) == 300
    assert min(kept) > 50


def test_two_processes_tag_as_one_does(still, tmp_path) -> None:
    lines = [
        f"where O\nis O\n{word} B-thing\n{'please' if n % 2 else 'help'} O\n"
        for n in range(10)
        for word in ("card", "parcel")
    ]
    (tmp_path / "texts.conll").write_text("\n".join(lines))
    options = {"epochs": 2, "batch_size": 7, "dropout": 0.0, "lr": 1e-3, "precision": "fp32"}
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    launcher = ["torch.distributed.run", "--nproc_per_node=2", "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"]
    for freeze in ("all", "last:1"):
        one = gw.fit(
            tmp_path / "texts.conll", still, task="tag", freeze=freeze, out=tmp_path / f"one-{freeze}", **options
        )
        fit = ["fit", "texts.conll", "--backbone", still, "--task", "tag", "--freeze", freeze, "--out", f"two-{freeze}"]
        two = launch(tmp_path, launcher, *fit, *words)
        assert two["training"]["processes"] == 2
        assert two["metrics"]["f1"] == pytest.approx(one.metrics["f1"], abs=0.05)
        for first, second in zip(one.record["training"]["history"], two["training"]["history"], strict=True):
            assert first["loss"] == pytest.approx(second["loss"], abs=2e-4)
