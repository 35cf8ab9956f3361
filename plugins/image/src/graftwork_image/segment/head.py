"""The decoder of `segment`: U-shaped, from the maps of an encoder and the picture itself to the class of each pixel."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from graftwork import Head, MapView

WIDTH = 64
"""Channels at the strides of the encoder; a half of it at stride 2, a quarter at the pixels."""


class Unet(Head):
    """From the coarsest map to the finest, each made larger and joined with the next (Ronneberger et al. 2015,
    arXiv:1505.04597), then with the picture at half and at full resolution, where encoders have nothing left.

    Maps `{stride: (B, C, H, W)}`, of which 1 is the prepared pixels, to `(B, K, H, W)` at their resolution.
    """

    def __init__(self, channels: Mapping[int, int], outputs: int) -> None:
        super().__init__()
        self.strides = sorted((stride for stride in channels if stride > 1), reverse=True)
        for stride in self.strides:
            self.register_buffer(f"mean{stride}", torch.zeros(channels[stride], 1, 1))
            self.register_buffer(f"size{stride}", torch.ones(channels[stride], 1, 1))
        self.sides = nn.ModuleDict({str(s): nn.Conv2d(channels[s], WIDTH, 1) for s in self.strides})
        self.blocks = nn.ModuleDict(
            {str(s): _block(2 * WIDTH if place else WIDTH, WIDTH) for place, s in enumerate(self.strides)}
        )
        self.fine = _plain(channels[1], WIDTH // 4)
        self.halved = _plain(WIDTH // 4, WIDTH // 2)
        self.to_half = _block(WIDTH + WIDTH // 2, WIDTH // 2)
        self.to_fine = _block(WIDTH // 2 + WIDTH // 4, WIDTH // 4)
        self.last = nn.Conv2d(WIDTH // 4, outputs, 1)

    def forward(self, features: Mapping[int, MapView]) -> Tensor:
        fine = self.fine(features[1].hidden)
        half = self.halved(functional.max_pool2d(fine, 2, ceil_mode=True))
        hidden: Tensor | None = None
        for stride in self.strides:
            found = (features[stride].hidden - getattr(self, f"mean{stride}")) / getattr(self, f"size{stride}")
            side = self.sides[str(stride)](found)
            hidden = self.blocks[str(stride)](side if hidden is None else _joined(hidden, side))
        assert hidden is not None, "a pyramid has maps"
        return self.last(self.to_fine(_joined(self.to_half(_joined(hidden, half)), fine)))

    @torch.no_grad()
    def fit_scaler(self, features: Mapping[int, MapView]) -> None:
        """Centre each channel of each map by its mean, and divide it by its deviation."""
        for stride in self.strides:
            hidden = features[stride].hidden.double()
            size = hidden.std((0, 2, 3))[:, None, None]
            getattr(self, f"mean{stride}").copy_(hidden.mean((0, 2, 3))[:, None, None])
            getattr(self, f"size{stride}").copy_(torch.where(size > 1e-6, size, 1.0))


class _PositionNorm(nn.Module):
    """The channels of each position with mean 0 and deviation 1. Of no other position, so that neither what shares a
    batch nor how a step is split changes an answer, as it does where statistics are of the batch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.norm(hidden.movedim(1, -1)).movedim(-1, 1)


def _block(channels: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        _conv(channels, outputs), _PositionNorm(outputs), nn.ReLU(),
        _conv(outputs, outputs), _PositionNorm(outputs), nn.ReLU(),
    )  # fmt: skip


def _plain(channels: int, outputs: int) -> nn.Sequential:
    """Two convolutions of the picture, whose contrast says something, so that it is not made the same everywhere."""
    return nn.Sequential(_conv(channels, outputs), nn.ReLU(), _conv(outputs, outputs), nn.ReLU())


def _conv(channels: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, outputs, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
    return layer


def _joined(hidden: Tensor, side: Tensor) -> Tensor:
    larger = functional.interpolate(hidden, size=side.shape[-2:], mode="bilinear", align_corners=False)
    return torch.cat([larger, side], 1)
