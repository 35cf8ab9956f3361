"""A saved run is bound to what its encoder reads and how it prepares it: any change fails the loading, by name."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.torch import load_file

import graftwork as gw
from graftwork import ContractMismatch, WeightsMismatch
from graftwork.plugins import registry
from graftwork.plugins.loading import installed
from graftwork.runs import integrity


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(5):
        for label, shade in (("dark", 30), ("light", 220)):
            place = tmp_path / "photos" / label / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30), (shade + number, shade, shade)).save(place)
    return tmp_path / "photos"


def refused(run: Path) -> str:
    with pytest.raises(ContractMismatch) as caught:
        gw.load(run)
    assert caught.value.hint == (
        "Install the version of its plugin that run.json names, restore the encoder's files, or fit again."
    )
    return caught.value.message


@pytest.mark.parametrize(
    ("item", "now", "words"),
    [
        ("mean", (0.485, 0.456, 0.406), "0.498039"),
        ("std", (1.0, 1.0, 1.0), "0.501960"),
        ("range", (0.0, 255.0), "[0.0, 1.0]"),
        ("interpolation", "bilinear", "bicubic"),
        ("resize", 224, "256"),
    ],
)
def test_an_image_encoder_that_normalises_otherwise_is_not_loaded(
    photos, tmp_path, monkeypatch, item, now, words
) -> None:
    name = "image/efficientnet-lite0"
    gw.fit(photos, name, out=tmp_path / "run")
    assert gw.load(tmp_path / "run").labels == ["dark", "light"]
    spec = registry.backbone(name)
    contract = dataclasses.replace(spec.contract, preparation={**spec.preparation, item: now})
    monkeypatch.setitem(installed().registered["backbones"], name, dataclasses.replace(spec, contract=contract))
    sentence = refused(tmp_path / "run")
    assert sentence.startswith(f"The run was made with '{name}' where its {item} is ")
    assert words in sentence


def test_a_changed_record_is_refused_as_a_changed_encoder_is(photos, tmp_path) -> None:
    run = tmp_path / "run"
    gw.fit(photos, "image/efficientnet-lite0", out=run)
    record: dict[str, Any] = json.loads((run / "run.json").read_text())
    record["contract"]["preparation"]["crop"] = 225
    sealed = integrity.sealed(record, load_file(run / "head.safetensors"))
    (run / "run.json").write_text(json.dumps(sealed))
    assert refused(run) == ("The run was made with 'image/efficientnet-lite0' where its crop is 225; here it is 224.")


@pytest.fixture
def encoder(tiny_bert, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "encoder"))


@pytest.mark.parametrize("change", ["vocabulary", "rules", "vocab.txt"])
def test_a_text_encoder_with_another_tokenizer_is_not_loaded(messages, encoder, tmp_path, change) -> None:
    gw.fit(messages, f"local:{encoder}", out=tmp_path / "run")
    gw.load(tmp_path / "run")
    file = encoder / ("vocab.txt" if change == "vocab.txt" else "tokenizer.json")
    words = file.read_text()
    if change == "rules":
        changed = re.sub(r'"lowercase":\s*true', '"lowercase": false', words)
    else:
        changed = words.replace("card", "@@").replace("parcel", "card").replace("@@", "parcel")
    assert changed != words
    file.write_text(changed)
    sentence = refused(tmp_path / "run")
    assert re.match(
        rf"The run was made with 'local:{encoder}' where its tokenizer is \w{{64}}; here it is \w{{64}}\.", sentence
    )


def test_a_text_encoder_cut_to_another_length_is_not_loaded(messages, encoder, tmp_path) -> None:
    gw.fit(messages, f"local:{encoder}", out=tmp_path / "run")
    (encoder / "sentence_bert_config.json").write_text('{"max_seq_length": 8}')
    assert refused(tmp_path / "run").endswith("where its max length is 64; here it is 8.")


def test_packaged_weights_are_bound_to_their_own_tokenizer(tmp_path) -> None:
    spec = registry.backbone("text/minilm")
    folder = Path(shutil.copytree(spec.weights.obtain(spec.name), tmp_path / "minilm"))
    (folder / "vocab.txt").write_text((folder / "vocab.txt").read_text().replace("\nhouse\n", "\nhoose\n"))
    spec = dataclasses.replace(spec, weights=gw.FolderWeights(folder))
    with pytest.raises(WeightsMismatch) as caught:
        gw.load_backbone(spec)
    assert re.fullmatch(
        rf"The tokenizer in '{folder}' \(digest \w{{12}}…\) is not the one that 'text/minilm' was pretrained with "
        r"\(\w{12}…\)\.",
        caught.value.message,
    )


def test_a_tokenizer_that_knows_more_than_the_weights_is_refused(encoder, messages) -> None:
    file = encoder / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    tokenizer["model"]["vocab"] |= {f"new{i}": 19 + i for i in range(5)}
    file.write_text(json.dumps(tokenizer))
    with pytest.raises(WeightsMismatch, match=r"knows 24 tokens and the weights 19, so they are not of one model"):
        gw.load_backbone(registry.backbone(f"local:{encoder}"))


def test_an_audio_encoder_of_another_rate_or_scale_is_not_loaded(tmp_path) -> None:
    import numpy as np
    import soundfile
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    folder = tmp_path / "encoder"
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    layers = {"conv_dim": (8, 8), "conv_kernel": (10, 3), "conv_stride": (5, 2), "num_conv_pos_embeddings": 6}
    config = Wav2Vec2Config(**shape, **layers, num_conv_pos_embedding_groups=2)
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    for label, hertz in (("low", 200), ("high", 2_000)):
        for number in range(4):
            place = tmp_path / "clips" / label / f"{number}.wav"
            place.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(place, 0.3 * np.sin(2 * np.pi * (hertz + number) * np.arange(4_000) / 16_000), 16_000)
    gw.fit(tmp_path / "clips", f"local:{folder}", out=tmp_path / "run")
    gw.load(tmp_path / "run")
    file = folder / "preprocessor_config.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps({**settings, "sampling_rate": 8_000}))
    assert refused(tmp_path / "run").endswith("where its sampling rate is 16 000 Hz; here it is 8 000 Hz.")
    file.write_text(json.dumps({**settings, "do_normalize": False}))
    assert refused(tmp_path / "run").endswith("where its normalize is True; here it is False.")
    file.write_text(json.dumps(settings))
    assert len(gw.load(tmp_path / "run").predict([tmp_path / "clips" / "low" / "0.wav"])) == 1
