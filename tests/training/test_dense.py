"""Training heads whose answers lie in the input: every policy, the certificate, kept views, and going on after a kill."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import graftwork as gw

POLICIES = (
    "head", "all", "last:1", "last:1+bitfit", "lpft", "gradual:1", "layerwise:0.5", "bitfit", "norm", "lora:r=2",
    "params:*.norm1.*",
)  # fmt: skip
FAST = {"epochs": 2, "batch_size": 4, "lr": 1e-3, "head_lr": 1e-2, "checkpoint_every": 0.0, "patience": 0}


class Killed(BaseException):
    """As sudden as a kill, for this process."""


def stop_at(step: int) -> Callable[..., None]:
    def watch(progress: Any) -> None:
        if progress.step == step and not progress.done:
            raise Killed

    return watch


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    rng, lines = random.Random(0), []
    for _ in range(20):
        lines += [f"{rng.choice(['where', 'is', 'my'])} O", f"{rng.choice(['card', 'parcel'])} B-thing", "help O", ""]
    path = tmp_path / "texts.conll"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("freeze", POLICIES)
def test_every_policy_trains_what_it_says_and_proves_it(texts, tiny_bert, freeze) -> None:
    run = gw.fit(texts, f"local:{tiny_bert}", task="tag", freeze=freeze, **({} if freeze == "head" else FAST))
    certificate = run.record["certificate"]
    assert certificate["ok"]
    stages = certificate["stages"]
    assert any(stage["trained"] for stage in stages.values()) == (freeze != "head")
    if freeze.startswith("last:1"):
        assert not stages["embeddings"]["trained"] or "bitfit" in freeze
    assert 0 <= run.metrics["f1"] <= 1


@pytest.mark.parametrize("freeze", ["all", "last:1", "lpft", "lora:r=2"])
@pytest.mark.parametrize("step", [1, 4, 7])
def test_a_kill_is_gone_on_from_to_the_same_bits(texts, tiny_bert, tmp_path, freeze, step) -> None:
    asked = {"task": "tag", "freeze": freeze, **FAST}
    whole = gw.fit(texts, f"local:{tiny_bert}", out=tmp_path / "whole", **asked)
    with pytest.raises(Killed):
        gw.fit(texts, f"local:{tiny_bert}", out=tmp_path / "stopped", watch=stop_at(step), **asked)
    resumed = gw.fit(texts, f"local:{tiny_bert}", out=tmp_path / "stopped", resume=True, **asked)
    assert resumed.metrics == whole.metrics
    assert (tmp_path / "whole/head.safetensors").read_bytes() == (tmp_path / "stopped/head.safetensors").read_bytes()
    moved = [tmp_path / name / "backbone.safetensors" for name in ("whole", "stopped")]
    assert moved[0].read_bytes() == moved[1].read_bytes()
