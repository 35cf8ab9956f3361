import torch

import graftwork as gw


class Spectrum(gw.Stage):
    """(B, T) samples -> (B, frames, bins) log power, frame by frame."""

    def forward(self, state):
        heard = state.hidden if state.mask is None else state.hidden * state.mask
        frames = torch.nn.functional.pad(heard, (0, -state.hidden.shape[1] % 512)).unfold(1, 512, 512)
        mask = state.mask[:, ::512] if state.mask is not None else None
        return gw.State((torch.fft.rfft(frames).abs() + 1e-3).log(), mask)


class Projection(gw.Stage):
    def __init__(self):
        super().__init__("projection")
        self.register_buffer("matrix", torch.randn(3072, 64, generator=torch.Generator().manual_seed(0)) / 55)

    def forward(self, state):
        return gw.State(state.hidden.flatten(1) @ self.matrix)


class Heard(gw.Backbone):
    def pool(self, state):
        return gw.masked_mean(state)


class Looked(gw.Backbone):
    def pool(self, state):
        return state.hidden


def spectrum(spec, weights):
    return Heard(spec, [Spectrum("spectrum")], [257])


def projection(spec, weights):
    return Looked(spec, [Projection()], [64])
