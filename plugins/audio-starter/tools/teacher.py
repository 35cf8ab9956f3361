"""What the starter learns to say: the states of Moonshine-tiny's encoder (MIT licence, Useful Sensors) after two of
its blocks and at its end, and beside them what that encoder leaves behind: the log-mel spectrum, and in every frame its
mean and deviation over the clip, by which voices and microphones differ.

Written as a plugin of one file, as anyone's would be. The weights are read from shared/weights beside the repository;
they are not part of it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchaudio.transforms import MelSpectrogram

from graftwork import API_VERSION, Backbone, BackboneSpec, FolderWeights, Stage, State, hookimpl, masked_mean
from graftwork.pretraining.objectives import drawn

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests" / "bench"))

import moonshine

api_version = API_VERSION
NAME = "audio/moonshine-and-mel"
TAPS = ("block2", "block4", "norm")
RATE, HOP, BANDS = 16_000, 160, 40
OFTEN = 2
"""How often the mean and deviation are told, which is what they weigh beside the rest."""
WIDTH = len(TAPS) * 288 + (1 + 2 * OFTEN) * BANDS
LEVEL = 0.08
"""The deviation of the samples as Moonshine hears them: about that of speech in recordings."""
FLOOR = 1e-3
"""Of the power in a band, some 60 dB below that of white noise: what is softer is silence."""


def here() -> bool:
    """Whether the weights are at hand; then the teacher is registered."""
    from graftwork.plugins import loading

    if moonshine.here():
        loading.installed().load(sys.modules[__name__], loading.PluginReport("teacher", "tools", "0"))
    return moonshine.here()


@hookimpl
def graftwork_backbones():
    from graftwork_audio.plugin import reads

    yield BackboneSpec(
        name=NAME,
        contract=reads(RATE, 0.1, normalize=True),
        factory=f"{__name__}:build",
        weights=FolderWeights(moonshine.FOLDER, size_bytes=15_369_040),
        stages=("all",),
        feature_dim=WIDTH,
        parameters=7_682_400,
        license="MIT",
        source="Useful Sensors, Moonshine tiny, the encoder; and a log-mel spectrogram",
        pretrained_on="200 000 hours of English speech with transcripts",
    )


class All(Stage):
    """Waveforms `(B, T)` to Moonshine's frames `(B, T', WIDTH)`: its states after `TAPS`, then the spectrum."""

    def __init__(self, encoder: Backbone) -> None:
        super().__init__("all")
        self.steps = nn.ModuleList(encoder.stages())
        self.mel = MelSpectrogram(RATE, n_fft=512, hop_length=HOP, n_mels=BANDS, pad_mode="constant")

    def forward(self, state: State) -> State:
        spectrum = self.spectrum(state)
        mean = masked_mean(spectrum)
        deviation = masked_mean(State((spectrum.hidden - mean[:, None]).square(), spectrum.mask)).sqrt()
        state, found = State(state.hidden * LEVEL, state.mask), []
        stage: Any
        for stage in self.steps:
            state = stage(state)
            found += [state.hidden] * (stage.name in TAPS)
        summary = torch.cat([mean, deviation] * OFTEN, -1)[:, None].expand(-1, state.hidden.shape[1], -1)
        return State(torch.cat([*found, drawn(spectrum, state).hidden, summary], -1), state.mask)

    def spectrum(self, state: State) -> State:
        """Waveforms `(B, T)` to bands `(B, T // HOP + 1, BANDS)`."""
        bands = torch.log(self.mel(state.hidden) + FLOOR).transpose(1, 2)
        if state.mask is None:
            return State(bands)
        return State(bands, torch.arange(bands.shape[1]) <= state.mask.sum(1)[:, None] // HOP)


class Teacher(Backbone):
    batch_size = 16_000 * 30

    def pool(self, state: State) -> Tensor:
        return masked_mean(state)


def build(spec: BackboneSpec, weights: Path | None) -> Teacher:
    (theirs,) = moonshine.graftwork_backbones()
    return Teacher(spec, [All(moonshine.build(theirs, weights))], [spec.feature_dim])
