"""An encoder that is code alone: it has no weights and no parameters, and everything that fits and predicts takes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import graftwork as gw
from graftwork.cli import app
from graftwork.plugins import registry
from graftwork.testing.cases import Nonconformance, NotChecked
from graftwork.testing.kit import cases

HERE = Path(__file__).parent


@pytest.fixture
def hashing(published) -> gw.BackboneSpec:
    published("hashing_texts")
    return registry.backbone("text/hashing")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    rows = ["text,label"]
    for number in range(20):
        rows += [f"my parcel is lost {number},post", f"please refund the money {number},bank"]
    (tmp_path / "texts.csv").write_text("\n".join(rows))
    return tmp_path / "texts.csv"


def test_the_kit_passes_an_honest_one(hashing) -> None:
    passed = set()
    for case in cases("hashing-texts"):
        try:
            case()
            passed.add(case.check)
        except NotChecked:
            continue
    assert {"the_spec_says_all", "without_weights_it_is_the_same_each_time", "what_is_saved_is_loaded",
            "listing_it_imports_nothing_heavy", "its_stages_own_every_parameter_once"} <= passed  # fmt: skip


def test_it_is_fitted_saved_loaded_and_found_in_the_store(hashing, texts, tmp_path) -> None:
    run = gw.fit(texts, "text/hashing", out=tmp_path / "run")
    assert run.metrics["accuracy"] == 1
    assert run.record["certificate"]["ok"]
    again = gw.load(tmp_path / "run")
    assert [answer["label"] for answer in again.predict(["refund my money", "a lost parcel"])] == ["bank", "post"]
    assert gw.fit(texts, "text/hashing").record["cache"]["misses"] == 0


def test_it_is_listed_as_at_hand_and_without_size(hashing, capsys) -> None:
    said = hashing.as_json()
    assert (said["at_hand"], said["parameters"], said["size_bytes"], said["weights"]) == (True, 0, 0, "code alone")
    assert app._run(["backbones", "--modality", "text"], json=False) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "text/hashing" in line]
    assert "none" in line
    assert "at hand" in line


def test_what_learned_nothing_is_not_the_default_beside_what_did(hashing, monkeypatch) -> None:
    others = [replace(hashing, name="text/learned", weights=gw.FolderWeights(HERE, 10), parameters=10**9), hashing]
    monkeypatch.setattr(registry, "backbones", lambda modality: others)
    assert registry.starter("text").name == "text/learned"
    monkeypatch.setattr(registry, "backbones", lambda modality: [hashing])
    assert registry.starter("text").name == "text/hashing"


@pytest.mark.parametrize("policy", ["all", "last:1", "lpft", "all+layerwise:0.9"])
def test_a_policy_that_trains_the_encoder_is_refused(hashing, texts, policy) -> None:
    words = f"'text/hashing' has no parameters, so only the head on it can train; the freeze policy '{policy}' trains"
    with pytest.raises(gw.UsageError, match=words.replace("+", r"\+")) as caught:
        gw.fit(texts, "text/hashing", freeze=policy)
    assert caught.value.hint == "Write: --freeze head"


def test_the_command_freeze_says_so_too(hashing, capsys) -> None:
    assert app._run(["freeze", "all", "--backbone", "text/hashing"], json=False) == 2
    assert "only the head on it can train" in capsys.readouterr().err
    assert app._run(["freeze", "head", "--backbone", "text/hashing"], json=False) == 0


def test_auto_and_compare_train_the_head_alone(hashing, texts) -> None:
    run = gw.fit(texts, "text/hashing", freeze="auto")
    assert run.record["freeze"] == "head"
    assert [row["why"] for row in run.record["tried"]] == ["'text/hashing' has no parameters to train"]
    compared = gw.compare(texts, "text/hashing")
    assert "tuned" not in compared.rows
    assert any("has no parameters" in sentence for sentence in compared.sentences)


def test_parameters_that_are_not_known_are_none_and_those_that_are_not_there_0(tiny_bert, tmp_path) -> None:
    assert registry.backbone(f"local:{tiny_bert}").parameters
    (tiny_bert / "model.safetensors").rename(tmp_path / "model.safetensors")
    try:
        assert registry.backbone(f"local:{tiny_bert}").parameters is None
    finally:
        (tmp_path / "model.safetensors").rename(tiny_bert / "model.safetensors")


@pytest.mark.parametrize("parameters", [5, None])
def test_a_spec_without_weights_and_with_parameters_is_refused(hashing, parameters) -> None:
    words = (
        f"'text/hashing' says NoWeights\\(\\) and parameters={parameters}; without weights it has none: parameters=0"
    )
    with pytest.raises(ValueError, match=words):
        replace(hashing, parameters=parameters)


def test_its_plugin_alone_is_reported(plugins, hashing) -> None:
    class Wrong:
        __name__ = "wrong"
        api_version = 1

        @gw.hookimpl
        def graftwork_backbones(self) -> Any:
            yield replace(hashing, parameters=7)

    sound, wrong = plugins(type("Sound", (), {"__name__": "sound", "api_version": 1})(), Wrong()).reports[1:]
    assert sound.errors == []
    assert "'text/hashing' says NoWeights() and parameters=7" in wrong.errors[0]


def test_an_encoder_without_weights_that_has_parameters_is_its_plugins_fault(hashing, monkeypatch) -> None:
    import torch
    from hashing_texts import model

    def build(spec, weights):
        made = model.Projection(4, 4, 0)
        made.gain = torch.nn.Parameter(torch.ones(4))
        return model.Hashing(spec, [made], [spec.feature_dim])

    monkeypatch.setattr(model, "build", build)
    with pytest.raises(gw.PluginFault) as caught:
        gw.load_backbone(hashing)
    assert caught.value.message == (
        "Backbone 'text/hashing' says NoWeights(), so parameters=0, and what 'hashing_texts.model:build' built has the "
        "parameter '_stages.0.gain'."
    )
    assert "register_buffer" in caught.value.hint


FAULTS = {
    "a projection drawn anew each time": ("matrix", "Draw it from a torch.Generator"),
    "a buffer that is not saved": ("matrix", "Leave out persistent=False"),
    "words hashed by hash()": ("in another process its features differ", "hash\\(\\) differs by process"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_kit_finds_one_that_is_not_the_same_each_time(hashing, published, tmp_path, monkeypatch, fault) -> None:
    old, new = {
        "a projection drawn anew each time": (", generator=torch.Generator().manual_seed(seed)", ""),
        "a buffer that is not saved": ("drawn / width**0.5)", "drawn / width**0.5, persistent=False)"),
        "words hashed by hash()": ("zlib.crc32(word)", "hash(word)"),
    }[fault]
    name = f"unsteady_texts{list(FAULTS).index(fault)}"
    package = tmp_path / "site" / name
    source = {name: (HERE / "hashing_texts" / f"{name}.py").read_text() for name in ("plugin", "model")}
    assert old in source["model"]
    published(name)
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "model.py").write_text(source["model"].replace(old, new))
    (package / "plugin.py").write_text(source["plugin"].replace("hashing_texts", name))
    from graftwork.plugins import loading

    loading.use(loading.discover())
    (case,) = [c for c in cases(name.replace("_", "-")) if c.check == "without_weights_it_is_the_same_each_time"]
    what, change = FAULTS[fault]
    with pytest.raises(Nonconformance, match=f"{what}.*{change}"):
        case()


def test_the_kit_passes_a_spectrum_and_a_fixed_random_projection(published) -> None:
    published("plain_features")
    passed = set()
    for case in cases("plain-features"):
        try:
            case()
            passed.add((case.subject, case.check))
        except NotChecked:
            continue
    for name in ("audio/spectrum", "image/projection"):
        assert (name, "without_weights_it_is_the_same_each_time") in passed
        assert (name, "its_contract_is_what_it_prepares") in passed
