"""Pretraining wav2vec 2.0: a network from nothing, and the objective of telling masked frames from others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Wav2Vec2ForPreTraining, Wav2Vec2Model
from transformers.models.wav2vec2.modeling_wav2vec2 import _compute_mask_indices, _sample_negative_indices

from graftwork import Given, Objective, hub_state, load_pretrained, new_model, save_new

TEMPERATURE, COOLING, COLDEST = 2.0, 0.999995, 0.5
"""Of the Gumbel softmax that chooses codes: at first, its factor each step, and at last (Baevski et al. 2020)."""
LEAST = 1e-7
"""The least probability whose logarithm is taken."""
FRONT = {"sampling_rate": 16_000, "do_normalize": True}
"""What fields say of the front end beside config.json."""

HEADS = (
    "quantizer.codevectors", "quantizer.weight_proj.weight", "quantizer.weight_proj.bias", "project_hid.weight",
    "project_hid.bias", "project_q.weight", "project_q.bias",
)  # fmt: skip
"""The parameters that pretraining adds to the network, drawn anew."""


def make(folder: Path, fields: Mapping[str, Any], values: Iterator[Any]) -> None:
    """A wav2vec 2.0 encoder of this shape. Raises `UsageError` for fields that it does not have."""
    said = {name: fields.get(name, value) for name, value in FRONT.items()}
    model = new_model(Wav2Vec2Model, {name: value for name, value in fields.items() if name not in FRONT})
    save_new(model, folder)
    front = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "feature_size": 1, "padding_value": 0.0, **said}
    (folder / "preprocessor_config.json").write_text(json.dumps(front, indent=2) + "\n", encoding="utf-8")


def perplexity(probabilities: Tensor, mask: Tensor | None = None) -> Tensor:
    """How many codes are in use `()`, summed over the groups: of probabilities `(N, G, V)`, at the N frames of a mask.

    As in transformers, whose gradient is not a number where a code is in no frame's reach (its probability is 0).
    """
    if mask is not None:
        probabilities = probabilities[mask.flatten()]
    mean = probabilities.mean(0)
    return torch.exp(-(mean * mean.clamp_min(LEAST).log()).sum(-1)).sum()


class Contrastive(Objective):
    """Spans of frames are masked; what the network makes of each must be nearer to its own quantised frame than to
    those of others (Baevski et al. 2020, arXiv:2006.11477), by transformers' head and loss."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.model: Any = load_pretrained(Wav2Vec2ForPreTraining, given.folder, shape={}, unused=HEADS)
        self.model.quantizer._compute_perplexity = perplexity

    def loss(self, loaded: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        config, batch = self.model.config, loaded.to(self.given.device)
        self.model.set_gumbel_temperature(max(TEMPERATURE * COOLING**step, COLDEST))
        waves, mask = batch.state.hidden, batch.state.mask
        mask = torch.ones_like(waves, dtype=torch.long) if mask is None else mask.long()
        frames = int(self.model._get_feat_extract_output_lengths(waves.shape[1]))
        real = self.model._get_feature_vector_attention_mask(frames, mask)
        shape = (len(waves), frames)
        length = min(config.mask_time_length, max(1, int(real.sum(1).min()) - 1))
        masked = _compute_mask_indices(shape, config.mask_time_prob, length, attention_mask=real, min_masks=1)
        negatives = _sample_negative_indices(shape, config.num_negatives, mask_time_indices=masked)
        made = self.model(
            waves,
            attention_mask=mask,
            mask_time_indices=torch.from_numpy(np.asarray(masked)).to(waves.device),
            sampled_negative_indices=torch.from_numpy(negatives).to(waves.device),
        )
        total = max(1, int(masked.sum()))
        return made.loss / total, {
            "contrastive": float(made.contrastive_loss.detach()) / total,
            "perplexity": float(made.codevector_perplexity.detach()),
        }

    def hub_state(self) -> dict[str, Tensor]:
        return hub_state(self.model.wav2vec2)
