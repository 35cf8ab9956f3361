"""`timm:NAME`: described by timm's own word, the library's forward before its classifier, refused in a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

import graftwork as gw
from graftwork import State, UnknownName, UsageError, WeightsMismatch, WeightsUnavailable
from graftwork.plugins import registry
from graftwork.testing import conformance
from graftwork_timm.models import build
from graftwork_timm.stages import TAKE_APART

SMALL = {
    "convnext_atto": "ConvNeXt", "efficientnet_lite0": "EfficientNet", "regnetx_002": "RegNet", "resnet18": "ResNet",
    "swin_tiny_patch4_window7_224": "SwinTransformer", "vit_tiny_patch16_224": "VisionTransformer",
    "vit_small_patch16_dinov3": "Eva", "mobilenetv3_small_050": "MobileNetV3",
}  # fmt: skip
"""A small model of each class that is mapped, and two of classes that are not."""

test_conformance = conformance("timm")


def published(cache: Path, name: str) -> nn.Module:
    """The model with random weights, saved where a download from the hub would be."""
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            module.running_mean.normal_(0, 0.1)
    repository = timm.models.get_pretrained_cfg(name).hf_hub_id
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text("abc")
    (folder / "snapshots/abc").mkdir(parents=True)
    save_file(model.state_dict(), folder / "snapshots/abc/model.safetensors", {"format": "pt"})
    return model


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize("name", SMALL)
def test_folding_is_the_librarys_forward_before_its_classifier(name, cache) -> None:
    model = published(cache, name)
    spec = registry.backbone(f"timm:{name}")
    backbone = gw.load_backbone(spec)
    side = spec.preparation["crop"]
    pixels = torch.randn(2, 3, side, side)
    with torch.inference_mode():
        expected = model.forward_head(model.forward_features(pixels), pre_logits=True)
        state = State(pixels)
        for tap, stage in enumerate(backbone.stages()):
            state = stage(state)
            assert backbone.pool(state).shape == (2, backbone.feature_dim(tap))
    torch.testing.assert_close(backbone.pool(state), expected, atol=1e-5, rtol=1e-5)
    classifier = {id(p) for p in model.get_classifier().parameters()}
    assert spec.parameters == sum(p.numel() for p in model.parameters() if id(p) not in classifier)
    owned = [id(p) for stage in backbone.stages() for p in stage.parameters()]
    assert len(owned) == len(set(owned))
    assert sum(p.numel() for p in backbone.parameters()) == spec.parameters
    mapped = SMALL[name] in {kind.__name__ for kind in TAKE_APART}
    assert (spec.stages == ("model",), bool(spec.note)) == (not mapped, not mapped)
    if not mapped:
        assert spec.note.startswith(
            f"The layers of timm's {SMALL[name]} are not mapped to stages yet, so it is one stage"
        )


def test_every_mapped_class_is_folded_here() -> None:
    assert {kind.__name__ for kind in TAKE_APART} < set(SMALL.values())


def test_a_spec_is_made_without_a_weight_and_says_where_they_are(cache) -> None:
    spec = registry.backbone("timm:resnet18.a1_in1k")
    assert (spec.license, spec.feature_dim, spec.parameters) == ("apache-2.0", 512, 11_176_512)
    assert spec.weights.find() is None
    sentence = (
        r"^Backbone 'timm:resnet18.a1_in1k' wants model.safetensors or pytorch_model.bin of 'timm/resnet18.a1_in1k' on"
    )
    with pytest.raises(WeightsUnavailable, match=sentence):
        gw.load_backbone(spec)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0", "vit_tiny_patch16_224"])
def test_images_are_prepared_as_timm_does(name) -> None:
    spec = registry.backbone(f"timm:{name}")
    model = timm.create_model(name, pretrained=False)
    config = timm.data.resolve_model_data_config(model)
    theirs = timm.data.create_transform(**config, is_training=False)
    image = Image.effect_noise((320, 400), 80).convert("RGB")
    ours = gw.preparer(spec)([image]).hidden[0]
    assert (ours - theirs(image)).abs().max() <= 2.01 / 255 / min(spec.preparation["std"])


@pytest.mark.parametrize("change", ["missing", "torn"])
def test_weights_that_are_not_whole_are_refused(cache, change) -> None:
    published(cache, "resnet18")
    spec = registry.backbone("timm:resnet18")
    folder = spec.weights.find()
    assert folder is not None
    tensors = load_file(folder / "model.safetensors")
    del tensors["layer4.1.bn2.weight"]
    save_file(tensors, folder / "model.safetensors")
    if change == "torn":
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-9])
    with pytest.raises(WeightsMismatch, match=r"model.safetensors' does not hold the weights of 'timm:resnet18': "):
        gw.load_backbone(spec)


def test_a_payload_in_old_weights_is_not_run(tmp_path) -> None:
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"conv1.weight": Payload()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsMismatch, match="does not hold the weights"):
        build(registry.backbone("timm:resnet18"), tmp_path)
    assert not (tmp_path / "ran").exists()


def test_what_timm_has_no_weights_for_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        UnknownName, match=r"timm has no weights for a model called 'resnet19'; the nearest of its \d+ are "
    ):
        registry.backbone("timm:resnet19")


def test_images_that_are_cut_in_another_way_are_refused() -> None:
    import dataclasses

    from graftwork_timm.models import _contract

    told = dataclasses.replace(timm.models.get_pretrained_cfg("resnet18"), crop_mode="border")
    with pytest.raises(UsageError, match="'timm:x' reads images of 224 x 224 pixels, cut by 'border'; squares, cut by"):
        _contract("timm:x", told)
