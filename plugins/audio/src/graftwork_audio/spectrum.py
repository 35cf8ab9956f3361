"""wav2vec 2.0 with a log-mel spectrum beside its states, frame by frame.

An encoder that learned words leaves behind what tells voices, rooms and noises apart; a spectrum keeps it. Both are
pooled together, by mean and deviation ("statistics pooling": Snyder et al. 2018, X-vectors).
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from graftwork import Backbone, BackboneSpec, SequenceView, Stage, State, masked_mean
from graftwork_audio import wav2vec2
from graftwork_audio.frames import around

RATE, BANDS = 16_000, 64
FLOOR = 1e-3
"""Of the power in a band, some 60 dB below that of white noise of variance 1: what is softer is silence."""
LEVEL, SPREAD = 2.0, 3.0
"""About the mean and deviation of a band's logarithm in speech, by which it is brought to the scale of states."""


class Stem(Stage):
    """Waveforms `(B, T)` to the network's frames and the bands of the same samples, `(B, T', D + BANDS)`."""

    def __init__(self, stem: Any) -> None:
        super().__init__(stem.name)
        self.inner = stem
        self.step, self.seen = stem.step, stem.seen

    def forward(self, state: State) -> State:
        made = self.inner(state)
        waves = state.hidden.float().unfold(1, self.seen, self.step)
        return State(torch.cat([made.hidden, bands(waves).to(made.hidden.dtype)], -1), made.mask)


class Past(Stage):
    """A stage of the network, past which the bands go as they are."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.name)
        self.inner = stage

    def forward(self, state: State) -> State:
        own, others = state.hidden[..., :-BANDS], state.hidden[..., -BANDS:]
        made = self.inner(State(own, state.mask))
        return State(torch.cat([made.hidden, others], -1), made.mask)


class WithSpectrum(Backbone):
    """pool: mean and deviation over the real frames, of states and bands: `(B, 2 * (D + BANDS))`."""

    batch_size = wav2vec2.Wav2Vec2.batch_size

    def __init__(self, spec: BackboneSpec, model: Any) -> None:
        stem, *others = wav2vec2.cut(model, stable=spec.stages[-1] == "norm")
        stages = [Stem(stem), *(Past(stage) for stage in others)]
        super().__init__(spec, stages, [2 * (model.config.hidden_size + BANDS)] * len(stages), library=model)

    def pool(self, state: State) -> Tensor:
        mean = masked_mean(state)
        spread = masked_mean(State((state.hidden - mean[:, None]).square(), state.mask))
        return torch.cat([mean, spread.clamp_min(1e-8).sqrt()], -1)

    def sequence(self, values: list[Any], batch: State, state: State) -> SequenceView:
        """States and bands of each frame `(B, T, D + BANDS)`; spans are seconds."""
        stem: Any = self.stages()[0]
        return around(state, stem.step, stem.seen, RATE)


def build(spec: BackboneSpec, weights: Path | None) -> WithSpectrum:
    """Load from a folder in hub layout; without weights, random ones of the shape in `spec.config`.

    Raises `WeightsMismatch` when the weights are not this model's.
    """
    return WithSpectrum(spec, wav2vec2.load(spec, weights))


def bands(frames: Tensor) -> Tensor:
    """Samples `(..., N)`, of one variance in the clip, to the logarithms of the power in each mel band `(..., BANDS)`,
    at the scale of states."""
    size = 2 ** math.ceil(math.log2(frames.shape[-1]))
    with torch.autocast(frames.device.type, enabled=False):
        frames = frames * torch.hann_window(frames.shape[-1], device=frames.device)
        power = torch.fft.rfft(nn.functional.pad(frames, (0, size - frames.shape[-1]))).abs().square()
        return (torch.log(power @ _filters(size).to(power.device) + FLOOR) - LEVEL) / SPREAD


@cache
def _filters(size: int) -> Tensor:
    return melscale_fbanks(size // 2 + 1, 0.0, RATE / 2, BANDS, RATE)
