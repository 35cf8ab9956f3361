"""`torchvision:NAME` for every classifier that has weights: described by the library's own word, taken apart whole."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

from graftwork import State, UnknownName
from graftwork.plugins import registry
from graftwork_image.torchvision_models import build, built
from graftwork_image.torchvision_stages import TAKE_APART

CLASSIFIERS = models.list_models(module=models)
SMALLEST = {
    "alexnet": 96, "convnext_tiny": 64, "densenet121": 64, "efficientnet_b0": 64, "googlenet": 64, "inception_v3": 96,
    "maxvit_t": 224, "mnasnet0_5": 64, "mobilenet_v2": 64, "mobilenet_v3_small": 64, "regnet_y_400mf": 64,
    "resnet18": 64, "shufflenet_v2_x0_5": 64, "squeezenet1_1": 64, "swin_t": 64, "swin_v2_t": 64, "vgg11_bn": 64,
    "vit_b_32": 224,
}  # fmt: skip
"""One of each class (and kind of block), and a side that it reads fast."""


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_with_weights_is_described_and_owns_all_but_its_head(name) -> None:
    spec = registry.backbone(f"torchvision:{name}")
    assert spec.weights.size_bytes > 2**20
    assert spec.contract.preparation["crop"] >= 224
    assert len(spec.stages) == len(set(spec.stages)) == len(spec.config["dims"]) >= 4
    model = built(spec.config, shapes=True)
    stages = TAKE_APART[type(model)][1](model)
    owned = [id(p) for stage in stages for p in stage.parameters()]
    assert len(owned) == len(set(owned))
    left = {key for key, p in model.named_parameters() if id(p) not in set(owned)}
    heads = ("fc.", "classifier.", "head.", "heads.", "AuxLogits.", "aux1.", "aux2.")
    assert all(key.startswith(heads) for key in left), sorted(left)[:3]
    assert len({key.rsplit(".", 1)[0] for key in left if not key.startswith(("Aux", "aux"))}) == 1


def test_every_class_of_the_table_has_a_model_that_is_folded() -> None:
    assert {type(built({"model": name}, shapes=True)) for name in SMALLEST} == set(TAKE_APART)


@pytest.mark.parametrize("name", SMALLEST)
def test_folding_is_the_librarys_forward_up_to_its_last_layer(name, tmp_path) -> None:
    torch.manual_seed(0)
    model: Any = built({"model": name}, shapes=False).eval()
    for module in model.modules():  # statistics that are not those of a fresh norm
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
    spec = registry.backbone(f"torchvision:{name}")
    if name in ("alexnet", "vgg11_bn"):  # large files
        kind, take_apart = TAKE_APART[type(model)]
        backbone = kind(spec, take_apart(model), spec.config["dims"])
    else:
        torch.save(model.state_dict(), tmp_path / "weights.pth")
        backbone = build(spec, tmp_path / "weights.pth").eval()
        assert not any(tensor.is_meta for tensor in (*backbone.parameters(), *backbone.buffers()))
    pixels = torch.randn(2, 3, SMALLEST[name], SMALLEST[name])
    with torch.inference_mode():
        pooled = backbone.pool(backbone(State(pixels)))
        if name.startswith("squeezenet"):
            expected = model.features(pixels).mean((2, 3))
        else:
            _cut(model)
            expected = model(pixels)
    assert pooled.shape == (2, spec.feature_dim)
    torch.testing.assert_close(pooled, expected, atol=1e-5, rtol=1e-5)


def test_densenets_first_names_of_tensors_are_read(tmp_path) -> None:
    spec = registry.backbone("torchvision:densenet121")
    states = built(spec.config, shapes=False).state_dict()
    old = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))([12])\.")
    torch.save({old.sub(r"\1.\2.", name): tensor for name, tensor in states.items()}, tmp_path / "old.pth")
    backbone = build(spec, tmp_path / "old.pth")
    first = backbone.stages()[1].body[0].denselayer1.conv1.weight
    assert torch.equal(first, states["features.denseblock1.denselayer1.conv1.weight"])


def _cut(model: Any) -> None:
    """Put nothing in the place of the last layer."""
    if hasattr(model, "heads"):
        model.heads.head = nn.Identity()
    elif isinstance(getattr(model, "classifier", None), nn.Sequential):
        model.classifier[-1] = nn.Identity()
    else:
        setattr(model, next(name for name in ("fc", "head", "classifier") if hasattr(model, name)), nn.Identity())


def test_the_declared_ones_are_what_the_resolver_would_say() -> None:
    for name in ("resnet18", "resnet50", "vit-b-16", "vgg16", "inception-v3"):
        declared, made = registry.backbone(f"image/{name}"), registry.backbone(f"torchvision:{name.replace('-', '_')}")
        assert declared.contract == made.contract
        assert (declared.stages, declared.feature_dim, declared.parameters) == (
            made.stages, made.feature_dim, made.parameters,
        )  # fmt: skip
        assert declared.config["dims"] == made.config["dims"]
        assert declared.weights.describe() == made.weights.describe()
        assert declared.weights.size_bytes == pytest.approx(made.weights.size_bytes, rel=1e-3)


def test_weights_may_be_named_and_carry_their_own_licence() -> None:
    spec = registry.backbone("torchvision:vit_b_16@IMAGENET1K_SWAG_LINEAR_V1")
    assert spec.license.endswith("SWAG/blob/main/LICENSE")
    assert spec.weights.describe().endswith("vit_b_16_lc_swag-4e70ced5.pth")


def test_what_torchvision_does_not_have_is_refused() -> None:
    with pytest.raises(UnknownName, match="has no classifier called 'resnet19'; the nearest of its 80 are resnet"):
        registry.backbone("torchvision:resnet19")
    with pytest.raises(UnknownName, match="'resnet18' has no weights called 'V9' in torchvision; it has IMAGENET1K_V1"):
        registry.backbone("torchvision:resnet18@V9")
