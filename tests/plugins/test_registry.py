"""Names: the nearest one is offered, schemes are resolved, and the starter is one with weights at hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from graftwork import DataError, UnknownName, WeightsUnavailable
from graftwork.plugins import registry
from graftwork.plugins.loading import installed
from graftwork.specs.weights import PackagedWeights


def test_an_unknown_backbone_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(UnknownName) as caught:
        registry.backbone("image/resnet19")
    assert caught.value.message.startswith("No backbone is called 'image/resnet19'; the nearest are image/resnet18, ")
    assert caught.value.hint == "List all: graftwork backbones"


def test_a_name_without_its_modality_finds_the_nearest_too() -> None:
    with pytest.raises(UnknownName, match="text/minilm"):
        registry.backbone("minilm")


def test_an_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="No resolver reads 'zoo:'; installed ones read hub:, local:"):
        registry.backbone("zoo:x")


def test_local_wants_a_config(tmp_path) -> None:
    with pytest.raises(DataError, match=r"wants a folder in hub layout, and '.*config.json' does not exist"):
        registry.backbone(f"local:{tmp_path}")


def test_local_names_a_model_type_that_nothing_maps(tmp_path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    with pytest.raises(
        UnknownName, match="is a model of type 'mamba', which no installed plugin maps; the nearest are "
    ):
        registry.backbone(f"local:{tmp_path}")


def test_local_refuses_a_config_without_model_type(tmp_path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match="names no model_type"):
        registry.backbone(f"local:{tmp_path}")


def test_the_starter_has_its_weights_at_hand() -> None:
    assert registry.starter("text").name == "text/minilm"
    assert registry.starter("image").name == "image/efficientnet-lite0"
    assert registry.starter("audio").name == "audio/wav2vec2-tiny"


def test_without_weights_at_hand_there_is_no_starter_and_it_says_why(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(PackagedWeights, "find", lambda self: None)
    with pytest.raises(
        WeightsUnavailable, match="No audio backbone has its weights on this machine; .*'audio/wav2vec2-base'"
    ):
        registry.starter("audio")


def test_every_spec_is_complete() -> None:
    for spec in registry.backbones():
        assert spec.license
        assert spec.source
        assert spec.pretrained_on
        assert spec.weights.size_bytes > 1e5
        assert spec.parameters > 1e5
        assert len(set(spec.stages)) == len(spec.stages)


def test_the_guide_lists_the_model_types_that_are_read() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "zoos.md").read_text(encoding="utf-8")
    section = guide.split("## Types that are read")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith(("| text", "| image", "| audio"))]
    listed = {word.split(" ")[0] for row in rows for word in re.split(r"[|,] *", row)[2:] if word.strip()}
    known = {name for resolver in installed().registered["resolvers"].values() for name in resolver.model_types}
    assert listed == known
