"""The decoder of `segment`: U-shaped, from the maps of an encoder and the picture itself to the class of each pixel."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from graftwork import Head, MapView

WIDTH = 64
"""Channels at the strides of the encoder; a half of it at stride 2, a quarter at the pixels."""

GROUPS = 8
"""Of channels that are normalised together. A norm over the channels of each position alone, which would look at no
other position, was further from membranes after 40 steps than this one after 10."""


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
            {str(s): _Block(2 * WIDTH if place else WIDTH, WIDTH) for place, s in enumerate(self.strides)}
        )
        self.fine = _plain(channels[1], WIDTH // 4)
        self.halved = _plain(WIDTH // 4, WIDTH // 2)
        self.to_half = _Block(WIDTH + WIDTH // 2, WIDTH // 2)
        self.to_fine = _Block(WIDTH // 2 + WIDTH // 4, WIDTH // 4)
        self.last = nn.Conv2d(WIDTH // 4, outputs, 1)

    def forward(self, features: Mapping[int, MapView]) -> Tensor:
        pixels = features[1].hidden
        there = _there(pixels)
        fine = self.fine(pixels)
        half = self.halved(functional.max_pool2d(fine, 2, ceil_mode=True))
        hidden: Tensor | None = None
        for stride in self.strides:
            found = (features[stride].hidden - getattr(self, f"mean{stride}")) / getattr(self, f"size{stride}")
            side = self.sides[str(stride)](found)
            hidden = self.blocks[str(stride)](side if hidden is None else _joined(hidden, side), there)
        assert hidden is not None, "a pyramid has maps"
        hidden = self.to_half(_joined(hidden, half), there)
        return self.last(self.to_fine(_joined(hidden, fine), there))

    @torch.no_grad()
    def fit_scaler(self, features: Mapping[int, MapView]) -> None:
        """Centre each channel of each map by its mean, and divide it by its deviation."""
        for stride in self.strides:
            hidden = features[stride].hidden.double()
            size = hidden.std((0, 2, 3))[:, None, None]
            getattr(self, f"mean{stride}").copy_(hidden.mean((0, 2, 3))[:, None, None])
            getattr(self, f"size{stride}").copy_(torch.where(size > 1e-6, size, 1.0))


class _Block(nn.Module):
    """Two convolutions, each normalised over the piece (Wu and He 2018, arXiv:1803.08494): not over the batch, so that
    neither what shares it nor how a step is split changes an answer."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([_conv(channels, outputs), _conv(outputs, outputs)])
        self.norms = nn.ModuleList([nn.GroupNorm(GROUPS, outputs) for _ in self.convolutions])

    def forward(self, hidden: Tensor, there: Tensor | None) -> Tensor:
        """hidden: `(B, C, H, W)`. there: where no padding is, `(B, 1, H, W)` booleans at full resolution, or None."""
        if there is not None:
            there = functional.adaptive_max_pool2d(there.float(), hidden.shape[-2:])
            hidden = hidden * there
        for convolve, norm in zip(self.convolutions, self.norms, strict=True):
            found = convolve(hidden)
            hidden = functional.relu(norm(found) if there is None else _normal(found, there, norm) * there)
        return hidden


def _normal(hidden: Tensor, there: Tensor, norm: nn.Module) -> Tensor:
    """As the norm, over the positions that are there."""
    assert isinstance(norm, nn.GroupNorm)
    groups = hidden.float().unflatten(1, (norm.num_groups, -1))
    weight = there[:, None] / (there.sum((1, 2, 3)) * groups.shape[2]).view(-1, 1, 1, 1, 1)
    mean = (groups * weight).sum((2, 3, 4), keepdim=True)
    variance = ((groups - mean).square() * weight).sum((2, 3, 4), keepdim=True)
    normal = ((groups - mean) / (variance + norm.eps).sqrt()).flatten(1, 2)
    return normal * norm.weight[:, None, None] + norm.bias[:, None, None]


def _there(pixels: Tensor) -> Tensor | None:
    """Where a picture `(B, 3, H, W)` lies in what pictures of several sizes are padded to; None where none is padded.

    Padding is exactly zero, at the right and at the bottom, and pixels are not.
    """
    any_pixel = (pixels != 0).any(1, keepdim=True)
    rows, columns = any_pixel.any(3, keepdim=True), any_pixel.any(2, keepdim=True)
    rows, columns = (one.flip(dim).cummax(dim).values.flip(dim) for one, dim in ((rows, 2), (columns, 3)))
    return None if bool(rows[:, :, -1].all() and columns[..., -1].all()) else rows & columns


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
