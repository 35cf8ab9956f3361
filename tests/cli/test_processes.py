"""Several processes, started as users start them: the same curve as one, work that is divided, and one writer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

import graftwork as gw


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


def test_extraction_is_divided_and_one_process_writes(tiny_bert, messages, tmp_path) -> None:
    one = gw.fit(messages, f"local:{tiny_bert}", precision="fp32")
    launcher = ["accelerate.commands.launch", "--num_processes=2", "--cpu", "--main_process_port=0"]
    two = launch(
        tmp_path,
        launcher,
        "fit",
        str(messages),
        "--backbone",
        f"local:{tiny_bert}",
        "--out",
        "two",
        "--precision",
        "fp32",
    )
    assert two["metrics"] == pytest.approx(one.metrics, abs=1e-4)
    assert two["n_train"] == 32
    assert (tmp_path / "two" / "run.json").is_file()


def test_each_process_computes_its_part_and_all_get_the_whole(tiny_bert, messages, monkeypatch) -> None:
    from graftwork import processes, registry
    from graftwork.examples import Examples
    from graftwork.extraction import extract
    from graftwork.pipeline import Pipeline

    data, spec = gw.data(messages), registry.backbone(f"local:{tiny_bert}")
    backbone = gw.load_backbone(spec)
    backbone.batch_size = 200
    pipeline = Pipeline(spec.contract, registry.agree_on(spec, data.observed), data.modality)
    whole = extract(backbone, Examples(backbone, pipeline, data.raws), tap=2)
    given: list = []
    monkeypatch.setattr(processes, "count", lambda: 2)
    for rank in (0, 1):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        monkeypatch.setattr(processes, "gather", lambda item: given.append(item) or [item])
        extract(backbone, Examples(backbone, pipeline, data.raws), tap=2)
    assert sorted(number for _, numbers, _, _ in given for number in numbers) == list(range(len(data)))
    assert all(numbers for _, numbers, _, _ in given)
    monkeypatch.setattr(processes, "gather", lambda item: given)
    joined = extract(backbone, Examples(backbone, pipeline, data.raws), tap=2)
    assert joined.kept == whole.kept
    assert (joined.values - whole.values).abs().max() < 1e-5
