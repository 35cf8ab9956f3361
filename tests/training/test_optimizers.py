"""Each optimizer trains, and goes on from a checkpoint as if it had not been stopped."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import graftwork as gw
from graftwork import RunError, UsageError
from graftwork.specs.settings import Settings
from graftwork.training.optimizers import OPTIMIZERS, PACKAGES, make_optimizer
from graftwork.training.steps import param_groups

FAST: dict[str, Any] = {"epochs": 3, "batch_size": 8, "checkpoint_every": 0.0, "patience": 0, "freeze": "gradual:1"}


class Killed(BaseException):
    """As sudden as a kill, for this process."""


@pytest.fixture(params=OPTIMIZERS)
def optimizer(request: pytest.FixtureRequest) -> str:
    if request.param in PACKAGES:
        pytest.importorskip(PACKAGES[request.param].replace("-", "_"))
    return request.param


def weights(run: Path) -> dict[str, torch.Tensor]:
    return {
        f"{name}/{key}": tensor
        for name in ("head", "backbone")
        for key, tensor in load_file(run / f"{name}.safetensors").items()
    }


def test_a_fit_that_is_stopped_goes_on_to_the_same_weights_bit_for_bit(
    messages, tiny_bert, tmp_path, optimizer
) -> None:
    options = {**FAST, "optimizer": optimizer, "lr": 1e-2}

    def watch(at: Any) -> None:
        if at.step == 7 and not at.done:
            raise Killed

    gw.fit(messages, f"local:{tiny_bert}", out=tmp_path / "whole", **options)
    with pytest.raises(Killed):
        gw.fit(messages, f"local:{tiny_bert}", out=tmp_path / "stopped", watch=watch, **options)
    other = "sgd" if optimizer == "adamw" else "adamw"
    with pytest.raises(RunError, match=r"its optimizer was '\w+'; now it is '\w+'"):
        gw.fit(messages, f"local:{tiny_bert}", out=tmp_path / "stopped", resume=True, **{**options, "optimizer": other})
    gw.fit(messages, f"local:{tiny_bert}", out=tmp_path / "stopped", resume=True, **options)
    whole, stopped = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert whole.keys() == stopped.keys()
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)


def test_pretraining_takes_it_and_goes_on_to_the_same_weights(messages, tmp_path, optimizer) -> None:
    fields = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "vocab_size": 200,
    }
    options = {"fields": fields, "allow_little": True, "epochs": 2, "batch_size": 13, "checkpoint_every": 0.0}

    def watch(at: Any) -> None:
        if at.step == 4:
            raise Killed

    def run(name: str, **more: Any) -> dict[str, torch.Tensor]:
        made = gw.pretrain(messages, "bert-tiny", "mlm", tmp_path / name, optimizer=optimizer, **options, **more)
        return load_file(made.folder / "model.safetensors")

    whole = run("whole")
    with pytest.raises(Killed):
        run("stopped", watch=watch)
    stopped = run("stopped", resume=True)
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)


def test_each_of_them_takes_other_steps(messages, tiny_bert, tmp_path) -> None:
    made = [name for name in OPTIMIZERS if name not in PACKAGES]
    for name in made:
        gw.fit(messages, f"local:{tiny_bert}", out=tmp_path / name, optimizer=name, **{**FAST, "freeze": "last:1"})
    first, second = (weights(tmp_path / name) for name in made)
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_lion_steps_by_the_sign_of_the_gradient() -> None:
    """Algorithm 2 of arXiv:2302.06675, its first step: x (1 - lr decay) - lr sign(g)."""
    pytest.importorskip("lion_pytorch")
    weight = torch.nn.Parameter(torch.tensor([[1.0, -2.0]]))
    made = make_optimizer("lion", param_groups("head", {"weight": weight}, 0.1, 0.5))
    weight.grad = torch.tensor([[3.0, -0.01]])
    made.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([[1.0 * 0.95 - 0.1, -2.0 * 0.95 + 0.1]]))


def test_one_that_is_not_known_or_not_installed_is_said_before_anything_is_loaded(
    messages, tiny_bert, monkeypatch, tmp_path
) -> None:
    assert Settings.declared()["optimizer"].choices == tuple(OPTIMIZERS)
    with pytest.raises(UsageError, match=r"--optimizer adam is not known; adamw, sgd, lion are\."):
        gw.fit(messages, f"local:{tiny_bert}", optimizer="adam", **FAST)
    original = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "lion_pytorch" else original(name))
    sentence = "--optimizer lion needs the package lion-pytorch, which is not installed."
    for start in (
        lambda: gw.fit(messages, f"local:{tiny_bert}", optimizer="lion", **FAST),
        lambda: gw.pretrain(messages, "bert-tiny", "mlm", tmp_path / "model", optimizer="lion"),
    ):
        with pytest.raises(UsageError) as raised:
            start()
        assert (raised.value.message, raised.value.hint) == (sentence, "Install it: pip install 'graftwork[lion]'")
