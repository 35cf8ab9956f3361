"""Maps and pyramids: positions lie where their strides say, whatever the encoder."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision import models

import graftwork as gw
from graftwork.models.reading import Reading, Wanted, view_of
from graftwork.models.views import STRIDES, MapView, pyramid_of
from graftwork.plugins import registry
from graftwork_image.torchvision_stages import WITH_STRIDES

SMALL = {
    models.ConvNeXt: "convnext_tiny", models.DenseNet: "densenet121", models.EfficientNet: "efficientnet_b0",
    models.MNASNet: "mnasnet0_5", models.MaxVit: "maxvit_t", models.MobileNetV2: "mobilenet_v2",
    models.MobileNetV3: "mobilenet_v3_small", models.RegNet: "regnet_x_400mf", models.ResNet: "resnet18",
    models.ShuffleNetV2: "shufflenet_v2_x0_5", models.SwinTransformer: "swin_t", models.VGG: "vgg11",
    models.VisionTransformer: "vit_b_32",
}  # fmt: skip


def test_every_class_with_strides_is_tried() -> None:
    assert set(SMALL) == WITH_STRIDES


@pytest.mark.parametrize("title", SMALL.values())
def test_the_pyramid_of_every_class_has_true_strides(title) -> None:
    spec = registry.backbone(f"torchvision:{title}")
    assert spec.views == ("pooled", "map", "pyramid")
    backbone = gw.load_backbone(spec, pretrained=False)
    side = spec.preparation["crop"]
    batch = gw.State(torch.randn(1, 3, side, side))
    with torch.inference_mode():
        found = backbone.pyramid(batch, len(spec.stages) - 1)
    assert {stride: view.hidden.shape[-2:] for stride, view in found.items()} == {
        stride: (-(-side // stride), -(-side // stride)) for stride in STRIDES
    }


@pytest.mark.parametrize("title", ["alexnet", "googlenet", "inception_v3", "squeezenet1_1"])
def test_classes_whose_convolutions_cut_edges_off_name_no_map(title) -> None:
    assert registry.backbone(f"torchvision:{title}").views == ("pooled",)


@given(st.sampled_from([8, 14, 16, 32]), st.integers(2, 6), st.integers(2, 6))
def test_a_simple_pyramid_keeps_what_is_the_same_everywhere(stride, high, wide) -> None:
    pixels = torch.zeros(1, 3, high * stride * 4, wide * stride * 4)
    view = MapView(torch.full((1, 2, high * 4, wide * 4), 3.0), stride)
    for size, made in pyramid_of({stride: view}, pixels).items():
        assert made.hidden.shape[-2:] == (-(-pixels.shape[-2] // size), -(-pixels.shape[-1] // size))
        assert torch.allclose(made.hidden, torch.tensor(3.0))


@given(st.sets(st.sampled_from([2, 4, 8, 16, 32]), min_size=1), st.sets(st.sampled_from(STRIDES), min_size=1))
def test_maps_that_a_pyramid_is_not_made_of_need_not_be_kept(given_strides, asked) -> None:
    maps = {stride: torch.randn(1, 2, 64 // stride, 64 // stride) for stride in sorted(given_strides)}
    maps[1] = torch.randn(1, 3, 64, 64)
    what = Wanted("pyramid", 0, (1, *sorted(asked)))
    used = {stride: maps[stride] for stride in what.used(maps)}
    backbone: Any = None
    made: Any = (view_of(backbone, Reading(None, (3, 64, 64), 1, some), what, []) for some in (maps, used))
    every, kept = made
    assert len(used) <= len(asked) + 1
    assert set(every) == set(kept) == {1, *asked}
    for stride, view in every.items():
        assert torch.equal(view.hidden, kept[stride].hidden)


@given(st.integers(0, 3), st.integers(1, 4), st.integers(1, 4))
def test_tokens_become_the_map_that_they_were_cut_from(first, high, wide) -> None:
    pixels = torch.zeros(1, 3, high * 16, wide * 16)
    grid = torch.randn(1, 5, high, wide)
    tokens = torch.cat([torch.randn(1, first, 5), grid.flatten(2).transpose(1, 2)], 1)
    view = gw.map_of_tokens(tokens, pixels)
    if view.stride == 16:  # few tokens may also be the larger patches of a smaller map
        assert torch.equal(view.hidden, grid)


def test_a_vector_is_no_map() -> None:
    with pytest.raises(
        gw.UsageError, match=r"A state \(7,\) of 32 x 32 pixels is no map with a stride\. Name an earlier"
    ):
        gw.map_view(torch.zeros(1, 7), torch.zeros(1, 3, 32, 32))
