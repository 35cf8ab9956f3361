"""Encoders of texts in hub layout: each mapped type is the library's forward, one that is not mapped is one stage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel

import graftwork as gw
from graftwork import DataError, PluginFault, UnknownName
from graftwork.plugins import registry
from graftwork_text.families import BERT, FAMILIES, GPT2, WHOLE

WORDS = ["where", "is", "my", "card", "parcel", "refund", "lost", "order", "please", "help", "money", "back", "i"]
TEXTS = ["where is my card", "refund", "please help i lost the order money back please"]
WIDTH = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24, "num_hidden_layers": 2}
SHAPES: dict[str, dict[str, Any]] = {
    "distilbert": {"dim": 16, "n_heads": 2, "hidden_dim": 24, "n_layers": 2},
    "gpt2": {"n_embd": 16, "n_head": 2, "n_layer": 2, "n_positions": 24},
    "albert": {**WIDTH, "embedding_size": 8},
    "electra": {**WIDTH, "embedding_size": 8},
    "gpt_neo": {"hidden_size": 16, "num_heads": 2, "num_layers": 2, "attention_types": [[["global", "local"], 1]]},
    "opt": {
        "hidden_size": 16,
        "num_attention_heads": 2,
        "ffn_dim": 24,
        "num_hidden_layers": 2,
        "word_embed_proj_dim": 16,
    },
    **{kind: {**WIDTH, "num_key_value_heads": 1, "head_dim": 8} for kind in ("llama", "mistral", "qwen2", "qwen3")},
}
MAPPED = [*FAMILIES, "gpt2"]


def write_tokenizer(folder: Path) -> int:
    """A word-level tokenizer that pads with number 1 and closes a text. Returns how many tokens it knows."""
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *WORDS]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 2)])
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"pad_token": "<pad>"}')
    return len(vocabulary)


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`saved(model_type)`: a tiny model of that type with random weights, as a folder in hub layout."""
    made: dict[str, Path] = {}

    def save(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            fields = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "max_position_embeddings": 26}
            fields |= SHAPES.get(kind, WIDTH)
            torch.manual_seed(0)
            model = AutoModel.from_config(AutoConfig.for_model(kind, vocab_size=write_tokenizer(folder), **fields))
            for parameter in model.parameters():
                parameter.data += 0.1 * torch.randn_like(parameter)
            model.save_pretrained(folder)
            made[kind] = folder
        return made[kind]

    return save


@pytest.mark.parametrize("kind", [*MAPPED, *WHOLE])
def test_a_model_in_hub_layout_is_the_librarys_own_forward(saved, kind) -> None:
    backbone = gw.load_backbone(registry.backbone(f"local:{saved(kind)}"))
    batch = backbone.prepare(TEXTS)
    theirs = AutoModel.from_pretrained(saved(kind)).eval()
    with torch.inference_mode():
        expected = theirs(input_ids=batch.hidden, attention_mask=batch.mask.long()).last_hidden_state
        state = backbone(batch)
        assert (state.hidden - expected)[batch.mask].abs().max() < 1e-5
        last = expected[torch.arange(3), batch.mask.sum(1) - 1]
        mean = torch.stack([row[real].mean(0) for row, real in zip(expected, batch.mask, strict=True)])
    pooled = last if kind == "gpt2" or WHOLE.get(kind, ("", "mean"))[1] == "last" else mean
    torch.testing.assert_close(backbone.pool(state), pooled, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", MAPPED)
def test_a_mapped_type_has_a_stage_for_each_layer_and_true_sizes(saved, kind) -> None:
    spec = registry.backbone(f"local:{saved(kind)}")
    backbone = gw.load_backbone(spec)
    assert spec.stages[:3] == ("embeddings", "block1", "block2")
    assert spec.parameters == sum(p.numel() for p in backbone.parameters())
    assert spec.note == ""
    with torch.inference_mode():
        assert backbone.features(backbone.prepare(TEXTS), 1).shape == (3, spec.feature_dim)
    longest = backbone.prepare(["card " * 100]).hidden
    assert longest.shape == (1, spec.preparation["max_length"])
    assert torch.isfinite(backbone(gw.State(longest)).hidden).all()


def test_a_type_that_is_not_mapped_is_one_stage_and_a_fit_says_so(saved, messages) -> None:
    run = gw.fit(messages, f"local:{saved('albert')}", seed=0)
    assert run.record["certificate"]["ok"]
    assert list(run.record["certificate"]["stages"]) == ["model"]
    said = (
        "The layers of AlbertModel are not mapped to stages yet, so it is one stage: it stays frozen or trains whole."
    )
    assert said in run.record["warnings"]


def test_a_type_that_no_table_has_is_refused_with_the_nearest(tmp_path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "distilberta"}')
    sentence = r"is a model of type 'distilberta', which no installed plugin maps; the nearest are distilbert, "
    with pytest.raises(UnknownName, match=sentence):
        registry.backbone(f"local:{tmp_path}")


def test_every_type_in_the_tables_is_one_that_the_library_has(saved) -> None:
    for kind, (name, pooling) in WHOLE.items():
        assert getattr(transformers, name).config_class.model_type == kind
        assert pooling in ("mean", "last")
    library = transformers.GPT2Config()
    assert {name: getattr(library, name) for name in GPT2} == GPT2
    for kind, family in FAMILIES.items():
        library = AutoConfig.for_model(kind)
        named = {ours: theirs for theirs, ours in family.fields.items()}
        stated = {name: getattr(library, named.get(name, name), None) for name in BERT}
        if kind == "distilbert":
            stated |= {"type_vocab_size": 0, "layer_norm_eps": 1e-12}  # of which it has none to set
        assert family.settings({}) == stated, kind


@pytest.mark.parametrize(
    ("folders", "pooling", "note"),
    [
        ({"1_Pooling/config.json": {"pooling_mode_cls_token": True}}, "first", ""),
        ({"1_Pooling/config.json": {"pooling_mode": "lasttoken"}}, "last", ""),
        (
            {"1_Pooling/config.json": {"pooling_mode": "max"}},
            "mean",
            "It was trained with the pooling max, which is not",
        ),
        (
            {"2_Dense/config.json": {}},
            "mean",
            "It was trained with a dense layer, which is not built: a plainer vector",
        ),
    ],
)
def test_the_pooling_of_sentence_transformers_is_read_or_said_to_be_missing(
    saved, tmp_path, folders, pooling, note
) -> None:
    for file in saved("roberta").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    for name, said in folders.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(json.dumps(said))
    spec = registry.backbone(f"local:{tmp_path}")
    assert spec.config["pooling"] == pooling
    assert spec.note.startswith(note)
    assert bool(spec.note) == bool(note)


def test_a_tokenizer_that_is_missing_is_named(saved, tmp_path) -> None:
    (tmp_path / "config.json").write_bytes((saved("gpt2") / "config.json").read_bytes())
    with pytest.raises(DataError, match=r"'local:.*' has no tokenizer.json or vocab.txt\."):
        registry.backbone(f"local:{tmp_path}")


def test_gpt2_with_settings_of_another_kind_is_refused(saved, tmp_path) -> None:
    for file in saved("gpt2").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    for odd, sentence in (
        ({"scale_attn_by_inverse_layer_idx": True}, "sets scale_attn_by_inverse_layer_idx; GPT-2's own settings and "),
        ({"activation_function": "tanh"}, "has activation_function tanh; GPT-2's own settings and gelu, gelu_new"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**config, **odd}))
        with pytest.raises(PluginFault, match=sentence):
            gw.load_backbone(registry.backbone(f"local:{tmp_path}"))


@pytest.mark.parametrize("kind", [*MAPPED, *WHOLE])
def test_the_sequence_of_every_type_names_the_characters_of_its_tokens(saved, kind) -> None:
    spec = registry.backbone(f"local:{saved(kind)}")
    backbone = gw.load_backbone(spec)
    assert spec.views == ("pooled", "sequence")
    texts = ["where is my parcel please", "my card"]
    batch = backbone.prepare(texts)
    with torch.inference_mode():
        view = backbone.sequence(texts, batch, backbone(batch))
    for row, text in enumerate(texts):
        spans = view.spans[row][view.mask[row]].tolist()
        assert spans == sorted(spans)
        assert {text[int(start) : int(end)].strip() for start, end in spans} <= set(text.split()) | set(text)
        read = sum(end - start for start, end in spans)
        assert read >= len(text.replace(" ", "")) - 1
