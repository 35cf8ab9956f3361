"""The plugin keeps the promises of its spec, and reaches the core by its public names alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet

import graftwork
import graftwork_efficientnet_lite
from graftwork import State, load_backbone
from graftwork.plugins import registry


@pytest.fixture(scope="module")
def backbone() -> graftwork.Backbone:
    return load_backbone(registry.backbone("image/efficientnet-lite0"))


def test_folding_equals_the_librarys_own_features(backbone) -> None:
    model = EfficientNet.from_name("efficientnet-lite0").eval()
    model.load_state_dict(torch.load(backbone.spec.weights.find(), weights_only=True))
    pixels = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        theirs = model.extract_features(pixels)
        assert (backbone(State(pixels)).hidden - theirs).abs().max() < 1e-5


def test_declared_sizes_are_true_at_every_tap(backbone) -> None:
    assert sum(p.numel() for p in backbone.parameters()) == backbone.spec.parameters
    owned = [id(p) for stage in backbone.stages() for p in stage.parameters()]
    assert len(owned) == len(set(owned))
    pixels = State(torch.randn(1, 3, 64, 64))
    with torch.inference_mode():
        for tap in range(len(backbone.spec.stages)):
            assert backbone.features(pixels, tap).shape == (1, backbone.feature_dim(tap))
    assert backbone.feature_dim(17) == backbone.spec.feature_dim


def test_blocks_are_left_out_at_random_in_training_only_and_as_often_as_the_library_does() -> None:
    backbone = load_backbone(registry.backbone("image/efficientnet-lite0"))
    assert [stage.rate for stage in backbone.stages()[1:-1]] == pytest.approx([0.2 * i / 16 for i in range(16)])
    block = backbone.stages()[15]
    pixels = State(torch.randn(64, 192, 7, 7))
    with torch.no_grad():
        assert torch.equal(block(pixels).hidden, block(pixels).hidden)
        block.train()
        left_out = (block(pixels).hidden == pixels.hidden).flatten(1).all(1)
    assert 0 < left_out.sum() < 64


def test_preparation_is_that_of_the_weights_own_training(backbone) -> None:
    from PIL import Image

    hidden = backbone.prepare([Image.new("RGB", (40, 30), colour) for colour in ("white", "black")]).hidden
    assert hidden.shape == (2, 3, 224, 224)
    assert hidden[:, 0, 0, 0].tolist() == pytest.approx([1.0, -127 / 128], abs=1e-6)


def test_weights_come_with_the_install(backbone) -> None:
    found = backbone.spec.weights.find()
    assert found is not None
    assert found.stat().st_size == backbone.spec.weights.size_bytes


def test_nothing_is_printed(backbone, capfd) -> None:
    load_backbone(backbone.spec)(State(torch.randn(1, 3, 32, 32)))
    assert capfd.readouterr() == ("", "")


def test_only_public_names_of_graftwork_are_imported() -> None:
    for file in Path(graftwork_efficientnet_lite.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("graftwork"):
                assert node.module == "graftwork"
                assert {name.name for name in node.names} <= set(graftwork.__all__)
