"""Config files of models come from strangers: an odd value is refused by its file, name and value, and nothing is built."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from graftwork import DataError, UnknownName
from graftwork.plugins import registry

ODD: dict[str, Any] = {
    "a text": "16",
    "null": None,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "negative": -16,
    "zero": 0,
    "a list": [16],
    "a fraction": 16.5,
    "a float": 16.0,
    "true": True,
    "settings": {"value": 16},
    "huge": 10**18,
}


def changed(folder: Path, place: Path, file: str, **values: Any) -> Path:
    """A copy of a model's folder with other settings in a file."""
    shutil.copytree(folder, place)
    said = json.loads((place / file).read_text()) if (place / file).exists() else {}
    (place / file).write_text(json.dumps({**said, **values}))
    return place


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "max_position_embeddings", "vocab_size"])
@pytest.mark.parametrize("odd", ODD)
def test_a_size_that_is_none_is_named(odd, key, tiny_bert, tmp_path) -> None:
    if (key, odd) == ("vocab_size", "null") or odd == "huge":
        return  # encoders of sound say so; limits are tested in test_limits.py
    folder = changed(tiny_bert, tmp_path / "model", "config.json", **{key: ODD[odd]})
    with pytest.raises(DataError) as caught:
        registry.backbone(f"local:{folder}")
    assert caught.value.message == (
        f"'{folder / 'config.json'}' says that {key} is {json.dumps(ODD[odd])}; a whole number from 1 on is accepted."
    )
    assert caught.value.hint == "Mend the file, or save the model again: save_pretrained(FOLDER)"


@pytest.mark.parametrize(
    ("key", "value", "accepted"),
    [
        ("layer_norm_eps", "small", "a number from 0 on"),
        ("layer_norm_eps", float("nan"), "a number from 0 on"),
        ("hidden_dropout_prob", -0.1, "a number from 0 on"),
        ("hidden_act", 3, "a word"),
        ("model_type", ["bert"], "a word"),
        ("model_type", None, "a word"),
    ],
)
def test_other_settings_are_named_too(key, value, accepted, tiny_bert, tmp_path) -> None:
    folder = changed(tiny_bert, tmp_path / "model", "config.json", **{key: value})
    with pytest.raises(DataError) as caught:
        registry.backbone(f"local:{folder}")
    assert f"says that {key} is {json.dumps(value)}; {accepted} is accepted." in caught.value.message


def test_a_model_type_that_nothing_maps_is_named(tiny_bert, tmp_path) -> None:
    folder = changed(tiny_bert, tmp_path / "model", "config.json", model_type="bertt")
    with pytest.raises(UnknownName, match="is a model of type 'bertt', which no installed plugin maps; the nearest "):
        registry.backbone(f"local:{folder}")


def test_the_length_of_sentence_transformers_is_named(tiny_bert, tmp_path) -> None:
    folder = changed(tiny_bert, tmp_path / "model", "sentence_bert_config.json", max_seq_length="64")
    with pytest.raises(
        DataError, match=r"sentence_bert_config.json' says that max_seq_length is \"64\"; a whole number "
    ):
        registry.backbone(f"local:{folder}")
    folder = changed(tiny_bert, tmp_path / "other", "sentence_bert_config.json", max_seq_length=None)
    assert registry.backbone(f"local:{folder}").feature_dim == 16


PREPARED = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 32, "width": 32},
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "resample": 2,
}


@pytest.mark.parametrize(
    ("key", "value", "accepted"),
    [
        ("size", "32", "whole numbers from 1 to 2,147,483,647"),
        ("size", {"height": -32, "width": 32}, "whole numbers from 1 to 2,147,483,647"),
        ("size", 0, "whole numbers from 1 to 2,147,483,647"),
        ("crop_size", 32.5, "whole numbers from 1 to 2,147,483,647"),
        ("image_mean", 0.5, "a list of three numbers from 0 on"),
        ("image_mean", [0.5], "a list of three numbers from 0 on"),
        ("image_std", [0.5, 0.0, 0.5], "a list of three numbers above 0"),
        ("image_std", [0.5, float("nan"), 0.5], "a list of three numbers above 0"),
        ("rescale_factor", "1/255", "a number above 0"),
        ("do_resize", "yes", "true or false"),
        ("resample", 17, "a number of Pillow's, 0 to 5"),
    ],
)
def test_how_images_are_prepared_is_checked(key, value, accepted, tmp_path) -> None:
    tmp_path.joinpath("config.json").write_text('{"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 1}')
    tmp_path.joinpath("preprocessor_config.json").write_text(json.dumps(PREPARED))
    assert registry.backbone(f"local:{tmp_path}").feature_dim == 8
    tmp_path.joinpath("preprocessor_config.json").write_text(json.dumps({**PREPARED, key: value}))
    with pytest.raises(DataError) as caught:
        registry.backbone(f"local:{tmp_path}")
    assert caught.value.message == (
        f"'{tmp_path / 'preprocessor_config.json'}' says that {key} is {json.dumps(value)}; {accepted} is accepted."
    )


@pytest.mark.parametrize("odd", ["a text", "null", "NaN", "negative", "zero", "a list", "a fraction", "true", "huge"])
def test_the_sampling_rate_is_checked(odd, tiny_wav2vec2, tmp_path) -> None:
    folder = changed(tiny_wav2vec2, tmp_path / "model", "preprocessor_config.json", sampling_rate=ODD[odd])
    with pytest.raises(
        DataError, match=r"preprocessor_config.json' says that sampling_rate is .*; a whole number from 1 "
    ):
        registry.backbone(f"local:{folder}")


def test_settings_that_do_not_go_together_are_a_fault_of_the_files(tiny_wav2vec2, tmp_path) -> None:
    folder = changed(tiny_wav2vec2, tmp_path / "model", "config.json", conv_kernel=[10, 2, 2])
    with pytest.raises(DataError) as caught:
        registry.backbone(f"local:{folder}")
    assert caught.value.message.startswith(
        f"The config files of 'local:{folder}' cannot be understood: ValueError: zip()"
    )
    assert "graftwork_audio/resolve.py:" in caught.value.message


def test_what_transformers_itself_writes_is_accepted(tmp_path) -> None:
    import transformers
    from transformers import CONFIG_MAPPING

    from graftwork.plugins.loading import installed
    from graftwork.specs.config_fields import check_fields

    types = {name for resolver in installed().registered["resolvers"].values() for name in resolver.model_types}
    assert len(types) > 40
    for name in types:
        check_fields(Path(name), json.loads(CONFIG_MAPPING[name]().to_json_string(use_diff=False)))
    for name in ("ViTImageProcessor", "ConvNextImageProcessor", "BitImageProcessor", "WhisperFeatureExtractor"):
        check_fields(Path(name), json.loads(getattr(transformers, name)().to_json_string()))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[" * 100_000, "nested deeper than 100 levels"),
        (b"{", "is not JSON: "),
        (b"\xff\xfe{}", "is not JSON: "),
        (b"[]", "holds no settings"),
        (b"null", "holds no settings"),
        (b"{}", "names no model_type"),
    ],
)
def test_a_file_that_is_no_config_is_refused(content, words, tmp_path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(DataError, match=words):
        registry.backbone(f"local:{tmp_path}")


class PanicException(BaseException):
    """What libraries written in Rust raise where they panic: no Exception (pyo3)."""


def test_a_panic_of_a_library_is_said_of_the_file(tiny_bert, monkeypatch) -> None:
    import tokenizers

    from graftwork import load_backbone

    def panic(file: str) -> None:
        raise PanicException("called `Option::unwrap()` on a `None` value")

    monkeypatch.setattr(tokenizers, "Tokenizer", type("Tokenizer", (), {"from_file": staticmethod(panic)}))
    with pytest.raises(DataError) as caught:
        load_backbone(registry.backbone(f"local:{tiny_bert}"))
    assert caught.value.message == (
        f"The tokenizer in '{tiny_bert}' cannot be loaded: called `Option::unwrap()` on a `None` value."
    )
