"""Torchvision's models as stages: equal to the library's forward, every parameter owned once, sizes as declared."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

import graftwork as gw
from graftwork import State, WeightsMismatch, WeightsUnavailable, registry
from graftwork_image.torchvision_models import FAMILIES, WITHOUT_SLOW_START, build

NAMES = ["image/resnet18", "image/resnet50", "image/vit-b-16", "image/inception-v3", "image/vgg16"]


def library(name: str) -> nn.Module:
    """The whole torchvision model without its last linear layer, in evaluation mode."""
    model = models.get_model(name, weights=None, **WITHOUT_SLOW_START.get(name, {}))
    if hasattr(model, "fc"):
        model.fc = nn.Identity()
    elif hasattr(model, "heads"):
        model.heads = nn.Identity()
    else:
        model.classifier[-1] = nn.Identity()
    return model.eval()


@pytest.mark.parametrize("name", NAMES)
def test_stages_fold_to_the_librarys_forward_and_own_its_parameters_once(name, monkeypatch) -> None:
    spec = registry.backbone(name)
    kind, take_apart, dims = FAMILIES[spec.config["model"]]
    torch.manual_seed(0)
    model = library(spec.config["model"])
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    backbone = kind(spec, take_apart(model), dims).eval()
    pixels = State(torch.randn(2, 3, spec.preparation["crop"], spec.preparation["crop"]))
    with torch.inference_mode():
        theirs = model(pixels.hidden)
        state = pixels
        for tap, stage in enumerate(backbone.stages()):
            state = stage(state)
            assert backbone.pool(state).shape == (2, backbone.feature_dim(tap))
        ours = backbone.pool(state)
        assert (ours - theirs).abs().max() < 1e-5 * max(1, float(theirs.abs().max()))
        assert (backbone.features(State(pixels.hidden[:1]), tap)[0] - ours[0]).abs().max() < 1e-4
    owned = [id(p) for stage in backbone.stages() for p in stage.parameters()]
    encoder = {id(p) for key, p in model.named_parameters() if not key.startswith("AuxLogits")}
    assert len(owned) == len(set(owned))
    assert set(owned) == encoder
    assert sum(p.numel() for p in backbone.parameters()) == spec.parameters
    assert backbone.feature_dim(len(backbone.stages()) - 1) == spec.feature_dim


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
