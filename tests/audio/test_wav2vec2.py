"""wav2vec 2.0 as stages: equal to the library's own forward, and blind to padding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from graftwork import Backbone, BackboneSpec, InputMismatch, PluginFault, State, fold, load_backbone
from graftwork.plugins import registry
from graftwork_audio.clip import Clip
from graftwork_audio.wav2vec2 import norm_each

SHORTEST = 32
"""Samples in 2 ms, the least that the tiny encoders take."""


def library(backbone: Backbone, fields: dict) -> Wav2Vec2Model:
    """The library's model with the backbone's weights."""
    model = Wav2Vec2Model(Wav2Vec2Config(**fields)).eval()
    own = dict(zip((id(p) for p in backbone.parameters()), backbone.parameters(), strict=True))
    stem, position, *rest = backbone.stages()
    blocks = [stage for stage in rest if stage.name.startswith("block")]
    model.feature_extractor.conv_layers.load_state_dict(stem.convolutions.state_dict())
    model.feature_projection.load_state_dict(stem.projection.state_dict())
    model.encoder.pos_conv_embed.load_state_dict(position.convolution.state_dict())
    norm = rest[-1].body[0] if rest[-1].name == "norm" else position.norm
    model.encoder.layer_norm.load_state_dict(norm.state_dict())
    for layer, block in zip(model.encoder.layers, blocks, strict=True):
        layer.load_state_dict(block.layer.state_dict())
    assert len(own) == len([name for name, _ in model.named_parameters() if name != "masked_spec_embed"])
    return model


@pytest.mark.parametrize("masked", [False, True])
def test_folding_equals_the_librarys_forward(
    tiny: Callable[[str], Backbone], fields: Callable[[str], dict], kind: str, masked: bool
) -> None:
    backbone = tiny(kind)
    model = library(backbone, fields(kind))
    waves = torch.randn(3, 700)
    mask = torch.ones(3, 700, dtype=torch.bool) if masked else None
    with torch.inference_mode():
        expected = model(waves, output_hidden_states=True)
        torch.testing.assert_close(backbone(State(waves, mask)).hidden, expected.last_hidden_state, atol=1e-5, rtol=0)
        for tap in (1, 2):
            state = fold(backbone.stages()[: tap + 1], State(waves, mask))
            torch.testing.assert_close(state.hidden, expected.hidden_states[tap - 1], atol=1e-5, rtol=0)


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(SHORTEST, 600), min_size=2, max_size=4),
    seed=st.integers(0, 2**16),
    data=st.data(),
)
def test_an_examples_features_do_not_depend_on_its_neighbours(
    tiny: Callable[[str], Backbone],
    clip: Callable[..., Clip],
    kind: str,
    lengths: list[int],
    seed: int,
    data: st.DataObject,
) -> None:
    backbone = tiny(kind)
    tap = data.draw(st.integers(0, len(backbone.stages()) - 1))
    clips = [clip(length, seed=seed + row) for row, length in enumerate(lengths)]
    with torch.inference_mode():
        together = backbone.features(backbone.prepare(clips), tap)
        alone = torch.cat([backbone.features(backbone.prepare([one]), tap) for one in clips])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_every_real_frame_of_a_padded_clip_is_the_frame_of_the_clip_alone(
    tiny: Callable[[str], Backbone], clip: Callable[..., Clip], kind: str
) -> None:
    backbone, short = tiny(kind), clip(250, seed=1)
    with torch.inference_mode():
        alone = backbone(backbone.prepare([short]))
        padded = backbone(backbone.prepare([short, clip(900, seed=2)]))
    frames = int(padded.mask[0].sum())
    assert frames == alone.hidden.shape[1] == alone.mask.sum() < padded.hidden.shape[1]
    torch.testing.assert_close(padded.hidden[0, :frames], alone.hidden[0], atol=1e-5, rtol=0)


def test_what_stands_in_the_padding_of_a_stored_state_never_matters(
    tiny: Callable[[str], Backbone], clip: Callable[..., Clip], kind: str
) -> None:
    backbone = tiny(kind)
    with torch.inference_mode():
        stem = fold(backbone.stages()[:1], backbone.prepare([clip(250), clip(900)]))
        noisy = State(torch.where(stem.mask[..., None], stem.hidden, 1e3), stem.mask)
        clean, other = (backbone.pool(fold(backbone.stages()[1:], state)) for state in (stem, noisy))
    torch.testing.assert_close(clean, other, atol=1e-5, rtol=0)


def test_group_norm_over_padding_would_be_another_result() -> None:
    norm, hidden = torch.nn.GroupNorm(4, 4), torch.randn(2, 4, 50)
    hidden[0, :, 20:] = 0
    ours = norm_each(norm, hidden, torch.tensor([20, 50]))
    torch.testing.assert_close(ours[0, :, :20], norm(hidden[:1, :, :20])[0])
    assert ours[0, :, 20:].abs().max() == 0
    assert (ours[0, :, :20] - norm(hidden)[0, :, :20]).abs().max() > 0.1


def test_gradients_reach_the_first_convolution_of_a_padded_batch_and_stay_finite(
    tiny_spec: Callable[[str], BackboneSpec], clip: Callable[..., Clip], kind: str
) -> None:
    backbone = load_backbone(tiny_spec(kind), pretrained=False).train()
    backbone.features(backbone.prepare([clip(100), clip(700)]), -1 % len(backbone.stages())).square().sum().backward()
    first = backbone.stages()[0].convolutions[0].conv.weight.grad
    assert torch.isfinite(first).all()
    assert first.abs().max() > 0


def test_no_layer_is_dropped_while_training(
    tiny_spec: Callable[[str], BackboneSpec], clip: Callable[..., Clip]
) -> None:
    import dataclasses

    spec = tiny_spec("group")
    still = dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"), 0.0)
    spec = dataclasses.replace(spec, config={**spec.config, **still, "layerdrop": 1.0})
    backbone = load_backbone(spec, pretrained=False)
    batch = backbone.prepare([clip(400)])
    with torch.no_grad():
        torch.testing.assert_close(backbone.train()(batch).hidden, backbone.eval()(batch).hidden)


def test_the_stages_own_every_parameter_exactly_once(
    tiny: Callable[[str], Backbone], fields: Callable[[str], dict], kind: str
) -> None:
    backbone = tiny(kind)
    owned = [id(p) for stage in backbone.stages() for p in stage.parameters()]
    assert len(owned) == len(set(owned)) == len(list(backbone.parameters()))
    library = Wav2Vec2Model(Wav2Vec2Config(**fields(kind)))
    total = sum(p.numel() for name, p in library.named_parameters() if name != "masked_spec_embed")
    assert sum(p.numel() for p in backbone.parameters()) == total


def test_each_tap_gives_vectors_of_the_declared_size(
    tiny: Callable[[str], Backbone], clip: Callable[..., Clip], kind: str
) -> None:
    backbone = tiny(kind)
    batch = backbone.prepare([clip(SHORTEST), clip(333)])
    for tap, name in enumerate(backbone.spec.stages):
        assert backbone.stages()[tap].name == name
        features = backbone.features(batch, tap)
        assert features.shape == (2, backbone.feature_dim(tap)) == (2, 16)
        assert features.dtype == torch.float32
        state = fold(backbone.stages()[: tap + 1], batch)
        assert state.mask is not None
        assert state.mask.shape == state.hidden.shape[:2]
        assert state.mask.sum(1).tolist() == [1, 16]


def test_the_declared_base_is_the_librarys_default_model() -> None:
    spec = registry.backbone("audio/wav2vec2-base")
    with torch.device("meta"):
        model = Wav2Vec2Model(Wav2Vec2Config())
    used = (p.numel() for name, p in model.named_parameters() if name != "masked_spec_embed")
    assert spec.parameters == sum(used) == 94_370_944
    assert spec.feature_dim == model.config.hidden_size
    assert len(spec.stages) == 2 + model.config.num_hidden_layers
    with torch.device("meta"):
        backbone = load_backbone(spec, pretrained=False)
    assert sum(p.numel() for stage in backbone.stages() for p in stage.parameters()) == spec.parameters


def test_the_shortest_clip_that_the_base_accepts_gives_one_frame() -> None:
    needed = registry.backbone("audio/wav2vec2-base").contract.facts["duration"]
    model = Wav2Vec2Model(Wav2Vec2Config(hidden_size=48, num_hidden_layers=0, num_conv_pos_embedding_groups=4))
    assert needed.allows(400 / 16_000)
    assert not needed.allows(0.024)
    assert model.feature_extractor(torch.zeros(1, 400)).shape[-1] == 1


@pytest.mark.parametrize("normalize", [True, False])
def test_preparation_equals_the_librarys_feature_extractor(
    tiny_spec: Callable[[str], BackboneSpec], clip: Callable[..., Clip], normalize: bool
) -> None:
    import dataclasses

    from graftwork_audio.prepare import build

    spec = tiny_spec("group")
    contract = dataclasses.replace(spec.contract, preparation={"normalize": normalize})
    spec = dataclasses.replace(spec, contract=contract)
    clips = [clip(300, seed=1), clip(800, seed=2), clip(64, seed=3)]
    state = build(spec)(clips)
    extractor = Wav2Vec2FeatureExtractor(do_normalize=normalize, return_attention_mask=True)
    waves = [one.samples[0] for one in clips]
    expected = extractor(waves, sampling_rate=16_000, padding=True, return_tensors="pt")
    torch.testing.assert_close(state.hidden, expected["input_values"], atol=1e-6, rtol=0)
    assert torch.equal(state.mask, expected["attention_mask"].bool())
    assert state.hidden.dtype == torch.float32


@pytest.mark.parametrize(
    ("frames", "rate", "channels", "words"),
    [
        (400, 8_000, 1, "wants sampling rate 16 000 Hz; it was given a clip of 8 000 Hz to prepare."),
        (400, 16_000, 2, "wants channels 1; it was given a clip of 2 to prepare."),
        (31, 16_000, 1, "wants duration 0.002 to 15.625 s; it was given a clip of 0.001 s to prepare."),
    ],
)
def test_a_clip_that_does_not_meet_the_contract_is_never_prepared(
    tiny: Callable[[str], Backbone], clip: Callable[..., Clip], frames: int, rate: int, channels: int, words: str
) -> None:
    with pytest.raises(InputMismatch) as caught:
        tiny("group").prepare([clip(400), clip(frames, rate, channels)])
    assert caught.value.message == f"Backbone 'audio/tiny-group' {words}"
    assert caught.value.hint == "Apply the steps of the agreement first."


def test_an_array_without_its_rate_is_never_prepared(tiny: Callable[[str], Backbone]) -> None:
    with pytest.raises(PluginFault) as caught:
        tiny("group").prepare([np.zeros(400, np.float32)])
    assert caught.value.message == (
        "'audio/tiny-group' was given a ndarray to prepare; the audio reader's Clip is accepted."
    )
