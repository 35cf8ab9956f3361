"""Audio's standard preparation: clips that meet the contract become one padded batch of waveforms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from graftwork import BackboneSpec, InputMismatch, PluginFault, State, show
from graftwork_audio.clip import Clip


def build(spec: BackboneSpec) -> Callable[[list[Clip]], State]:
    """Make `prepare(clips)`: `State(hidden (B, T) float32 ending in zeros, mask (B, T))`.

    `preparation["normalize"]` brings each clip, over its own samples, to mean 0 and variance 1 (transformers'
    Wav2Vec2FeatureExtractor, 1e-7 being added to the variance).

    `prepare` raises `InputMismatch` for a clip that does not meet the contract, `PluginFault` for what is no clip.
    """
    normalize = bool(spec.preparation.get("normalize", False))

    def prepare(clips: list[Clip]) -> State:
        waves = [_wave(spec, clip) for clip in clips]
        hidden = torch.zeros(len(waves), max(map(len, waves), default=0))
        mask = torch.zeros(hidden.shape, dtype=torch.bool)
        for row, wave in enumerate(waves):
            hidden[row, : len(wave)] = torch.from_numpy(_normalized(wave) if normalize else wave)
            mask[row, : len(wave)] = True
        return State(hidden, mask)

    return prepare


def _wave(spec: BackboneSpec, clip: Clip) -> npt.NDArray[np.float32]:
    if not isinstance(clip, Clip):
        raise PluginFault(
            f"'{spec.name}' was given a {type(clip).__name__} to prepare; the audio reader's Clip is accepted.",
            "Read audio with graftwork_audio.reader.AudioReader.",
        )
    # Of the rest, resampling may pass full scale by a hair, and depth is that of the file.
    facts = {fact: value for fact, value in clip.facts().items() if fact in ("sampling_rate", "channels", "duration")}
    for fact, wanted in spec.contract.facts.items():
        if fact in facts and not wanted.allows(facts[fact]):
            raise InputMismatch(
                f"Backbone '{spec.name}' wants {fact.replace('_', ' ')} {wanted}; "
                f"it was given a clip of {show(facts[fact], wanted.unit)} to prepare.",
                "Apply the steps of the agreement first.",
            )
    return clip.samples[0]


def _normalized(wave: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
