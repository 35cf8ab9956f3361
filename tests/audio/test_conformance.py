"""The audio plugin keeps what the kit asks of any."""

from __future__ import annotations

from typing import Any

import torch

from graftwork.testing import conformance


def reference(backbone: Any, values: list[Any]) -> torch.Tensor:
    """transformers' preparation and wav2vec 2.0, each clip alone, of the model that the kit's seed gives."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    extractor = Wav2Vec2FeatureExtractor(do_normalize=True)
    model = Wav2Vec2Model(Wav2Vec2Config(**backbone.spec.config)).eval()
    rows = [
        model(extractor(clip.samples[0], sampling_rate=clip.rate, return_tensors="pt").input_values).last_hidden_state[
            0
        ]
        for clip in values
    ]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


test_conformance = conformance("graftwork-audio", references={"audio/wav2vec2-base": reference})
