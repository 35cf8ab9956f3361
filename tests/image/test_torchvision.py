"""Torchvision's weights: loaded strictly and whole, never run, and named where they are missing."""

from __future__ import annotations

import pytest
import torch
from torchvision import models

import graftwork as gw
from graftwork import State, WeightsMismatch, WeightsUnavailable
from graftwork.plugins import registry
from graftwork_image.torchvision_models import build


def test_weights_in_torchs_cache_are_loaded_strictly(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    spec = registry.backbone("image/resnet18")
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    torch.manual_seed(1)
    states = models.resnet18(weights=None).state_dict()
    torch.save(states, tmp_path / "hub/checkpoints/resnet18-f37072fd.pth")
    backbone = gw.load_backbone(spec)
    assert torch.equal(backbone.stages()[0].body[0].weight, states["conv1.weight"])
    assert not backbone.training
    del states["fc.bias"]
    torch.save(states, tmp_path / "hub/checkpoints/resnet18-f37072fd.pth")
    with pytest.raises(WeightsMismatch, match="does not hold the weights of 'image/resnet18'"):
        build(spec, spec.weights.find())


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"], ids=["empty", "a web page"])
def test_a_file_that_is_no_weights_is_named_with_what_to_do(monkeypatch, tmp_path, content) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub/checkpoints/resnet18-f37072fd.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    with pytest.raises(WeightsMismatch) as refused:
        gw.load_backbone(registry.backbone("image/resnet18"))
    assert str(refused.value).startswith(f"'{file}' does not hold the weights of 'image/resnet18': ")
    assert str(refused.value).endswith(
        "Delete it, so that it is fetched again from https://download.pytorch.org/models/resnet18-f37072fd.pth."
    )


def test_weights_without_batch_counters_leave_nothing_empty(tmp_path) -> None:
    states = {k: v for k, v in models.resnet18(weights=None).state_dict().items() if "num_batches" not in k}
    torch.save(states, tmp_path / "old.pth")
    backbone = build(registry.backbone("image/resnet18"), tmp_path / "old.pth")
    assert not any(tensor.is_meta for tensor in (*backbone.parameters(), *backbone.buffers()))
    assert all(parameter.requires_grad for parameter in backbone.parameters())


def test_no_stage_writes_into_the_state_it_was_given() -> None:
    for name in ("image/resnet18", "image/inception-v3"):
        backbone = gw.load_backbone(registry.backbone(name), pretrained=False)
        state = State(torch.randn(1, 3, 80, 80))
        with torch.inference_mode():
            for stage in backbone.stages():
                before = state.hidden.clone()
                after = stage(state)
                assert torch.equal(state.hidden, before), stage.name
                state = after


def test_a_weights_file_with_a_payload_is_not_run(monkeypatch, tmp_path) -> None:
    import os

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    file = tmp_path / "resnet18-f37072fd.pth"
    torch.save({"conv1.weight": Payload()}, file)
    with pytest.raises(WeightsMismatch, match="does not hold the weights"):
        build(registry.backbone("image/resnet18"), file)
    assert not (tmp_path / "ran").exists()


def test_missing_weights_are_named_by_their_address(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("GRAFTWORK_OFFLINE", "1")
    with pytest.raises(
        WeightsUnavailable, match=r"'image/resnet18' wants https://download.pytorch.org/models/resnet18-f37072fd.pth"
    ):
        gw.load_backbone(registry.backbone("image/resnet18"))
