"""`local:` models of type wav2vec2: described by their config files, loaded in silence, refused in one sentence."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining, Wav2Vec2Model
from transformers.utils import logging as library_logging

from graftwork import DataError, State, WeightsMismatch, WeightsUnavailable, load_backbone
from graftwork.plugins import registry
from graftwork_audio import resolve
from graftwork_audio.clip import Clip


def spec_of(folder: Path):
    return registry.backbone(f"local:{folder}")


def as_legacy_pretraining_checkpoint(folder: Path, config: Wav2Vec2Config) -> None:
    """What the first wav2vec 2.0 repositories hold: a pickled pretraining model with the old names of weight norm."""
    torch.manual_seed(2)
    model = Wav2Vec2ForPreTraining(config)
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    tensors = {}
    for key, value in model.state_dict().items():
        for new, name in old.items():
            key = key.replace(new, name)
        tensors[key] = value.clone()
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    expected = Wav2Vec2Model(config)
    expected.load_state_dict(model.wav2vec2.state_dict())
    torch.save(expected.state_dict(), folder / "expected.pt")


def test_a_saved_model_gives_the_librarys_features(
    saved: Callable[..., Path], clip: Callable[..., Clip], kind: str
) -> None:
    folder = saved(kind, do_normalize=False)
    backbone = load_backbone(spec_of(folder))
    model = Wav2Vec2Model.from_pretrained(folder).eval()
    batch = backbone.prepare([clip(500, seed=1), clip(500, seed=2)])
    assert not backbone.training
    with torch.inference_mode():
        torch.testing.assert_close(backbone(batch).hidden, model(batch.hidden).last_hidden_state, atol=1e-5, rtol=0)


def test_the_spec_is_exact_by_small_files_and_the_head_of_the_weights(saved: Callable[..., Path], kind: str) -> None:
    folder = saved(kind, sampling_rate=8_000, do_normalize=False)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: 8 + int.from_bytes(weights[:8], "little")])
    spec = spec_of(folder)
    (folder / "model.safetensors").write_bytes(weights)
    backbone = load_backbone(spec)
    assert spec.stages == tuple(stage.name for stage in backbone.stages())
    assert ("norm" in spec.stages) == kind.endswith("stable")
    assert spec.parameters == sum(p.numel() for p in backbone.parameters())
    assert spec.feature_dim == 16
    assert spec.preparation == {"normalize": False}
    facts = spec.contract.as_json()["facts"]
    assert (facts["sampling_rate"], facts["channels"], facts["duration"]) == ("8 000 Hz", "1", "0.004 to 15.625 s")
    assert spec.weights.find() == folder
    assert spec_of(folder).weights.size_bytes == len(weights)


def test_without_weights_the_shape_is_that_of_the_folder(saved: Callable[..., Path]) -> None:
    backbone = load_backbone(spec_of(saved("layer-stable")), pretrained=False)
    pretrained = load_backbone(backbone.spec)
    shapes = [[p.shape for p in model.parameters()] for model in (backbone, pretrained)]
    assert shapes[0] == shapes[1]
    assert any(not torch.equal(a, b) for a, b in zip(backbone.parameters(), pretrained.parameters(), strict=True))


def test_loading_prints_nothing_even_where_pretraining_heads_are_left_behind(
    saved: Callable[..., Path], fields: Callable[[str], dict], capfd: pytest.CaptureFixture[str]
) -> None:
    folder = saved("group")
    as_legacy_pretraining_checkpoint(folder, Wav2Vec2Config(**fields("group")))
    capfd.readouterr()
    # The library's own handler keeps the stderr that it was imported with, which is not the captured one.
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    verbosity, bars = library_logging.get_verbosity(), library_logging.is_progress_bar_enabled()
    library_logging.add_handler(handler)
    try:
        load_backbone(spec_of(folder))
    finally:
        library_logging.remove_handler(handler)
    assert (*capfd.readouterr(), written.getvalue()) == ("", "", "")
    assert (library_logging.get_verbosity(), library_logging.is_progress_bar_enabled()) == (verbosity, bars)


def test_an_old_pretraining_checkpoint_loads_whole(saved: Callable[..., Path], fields: Callable[[str], dict]) -> None:
    folder = saved("group")
    config = Wav2Vec2Config(**fields("group"))
    as_legacy_pretraining_checkpoint(folder, config)
    model = Wav2Vec2Model(config).eval()
    model.load_state_dict(torch.load(folder / "expected.pt", weights_only=True))
    backbone = load_backbone(spec_of(folder))
    waves = torch.randn(2, 300)
    with torch.inference_mode():
        torch.testing.assert_close(backbone(State(waves)).hidden, model(waves).last_hidden_state, atol=1e-5, rtol=0)


def test_what_the_processor_of_transformers_5_writes_is_read_too(saved: Callable[..., Path]) -> None:
    folder = saved("group")
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": settings}))
    assert str(spec_of(folder).contract.facts["sampling_rate"]) == "16 000 Hz"


def test_a_folder_that_does_not_say_its_rate_is_refused(saved: Callable[..., Path]) -> None:
    folder = saved("group")
    file = folder / "preprocessor_config.json"
    file.write_text("{}")
    with pytest.raises(DataError) as caught:
        spec_of(folder)
    assert caught.value.message == (
        f"'{file}' states no sampling_rate, so what the model was pretrained to read is not known."
    )
    file.unlink()
    with pytest.raises(DataError) as caught:
        spec_of(folder)
    assert caught.value.message == f"'{file}' does not exist, so what the model was pretrained to read is not known."
    assert caught.value.hint == (
        "Save the model together with its feature extractor: feature_extractor.save_pretrained(FOLDER)"
    )


@pytest.mark.parametrize(("field", "value"), [("add_adapter", True), ("adapter_attn_dim", 8)])
def test_a_model_with_parts_that_are_not_mapped_is_refused(
    saved: Callable[..., Path], field: str, value: object
) -> None:
    folder = saved("group")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, field: value}))
    with pytest.raises(DataError) as caught:
        spec_of(folder)
    assert caught.value.message == (
        f"'local:{folder}' sets {field} in its config.json; encoders without that part are accepted."
    )


def test_a_folder_without_weights_is_refused_when_they_are_wanted(saved: Callable[..., Path]) -> None:
    folder = saved("group")
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsUnavailable) as caught:
        load_backbone(spec_of(folder))
    assert caught.value.message == (
        f"Backbone 'local:{folder}' wants model.safetensors or pytorch_model.bin, which '{folder}' does not hold."
    )


def test_weights_that_lack_a_tensor_are_never_filled_with_random_numbers(saved: Callable[..., Path]) -> None:
    from safetensors.torch import load_file, save_file

    folder = saved("group")
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layers.1.attention.q_proj.bias"], tensors["masked_spec_embed"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsMismatch) as caught:
        load_backbone(spec_of(folder))
    assert caught.value.message == (
        f"The weights in '{folder}' lack 1 tensors of a Wav2Vec2Model (first: encoder.layers.1.attention.q_proj.bias)."
    )


def test_a_missing_mark_of_masked_frames_does_not_make_two_loads_differ(saved: Callable[..., Path]) -> None:
    from safetensors.torch import load_file, save_file

    folder = saved("group")
    tensors = load_file(folder / "model.safetensors")
    del tensors["masked_spec_embed"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    first, second = (load_backbone(spec_of(folder)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_a_damaged_weight_file_is_one_sentence(saved: Callable[..., Path]) -> None:
    folder = saved("group")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(WeightsMismatch) as caught:
        load_backbone(spec_of(folder))
    start = f"The weights in '{folder}' cannot be loaded as a Wav2Vec2Model: "
    assert caught.value.message.startswith(start)
    assert "\n" not in caught.value.message


def test_pickled_code_is_never_run(saved: Callable[..., Path], tmp_path: Path) -> None:
    import pickle

    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    folder = saved("group")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"masked_spec_embed": Trap()}, protocol=2))
    with pytest.raises(WeightsMismatch):
        load_backbone(spec_of(folder))
    assert not (tmp_path / "ran").exists()


def test_the_defaults_of_a_short_config_are_the_librarys() -> None:
    library = Wav2Vec2Config()
    for field, value in resolve.DEFAULTS.items():
        stated = getattr(library, field)
        assert (tuple(stated) if isinstance(stated, (list, tuple)) else stated) == value, field
