"""Torchvision's models as stages: equal to the library's forward, every parameter owned once, sizes as declared."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

import graftwork as gw
from graftwork import PluginFault, State, WeightsUnavailable, registry
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
    with pytest.raises(
        PluginFault,
        match="^Backbone 'image/resnet18' cannot be built from https://.*pth: Error.* in loading state_dict",
    ):
        gw.load_backbone(spec)


def test_a_weights_file_with_a_payload_is_not_run(monkeypatch, tmp_path) -> None:
    import os
    import pickle

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    file = tmp_path / "resnet18-f37072fd.pth"
    torch.save({"conv1.weight": Payload()}, file)
    with pytest.raises(pickle.UnpicklingError):
        build(registry.backbone("image/resnet18"), file)
    assert not (tmp_path / "ran").exists()


def test_missing_weights_are_named_by_their_address(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("GRAFTWORK_OFFLINE", "1")
    with pytest.raises(
        WeightsUnavailable, match=r"'image/resnet18' wants https://download.pytorch.org/models/resnet18-f37072fd.pth"
    ):
        gw.load_backbone(registry.backbone("image/resnet18"))
