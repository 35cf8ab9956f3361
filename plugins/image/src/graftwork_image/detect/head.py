"""FCOS: what lies at each position of a pyramid of maps, and how far away the edges of its box are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from graftwork import Head, MapView

READ = (8, 16, 32)
"""The strides of the maps that are read of an encoder; 64 and 128 are made of the last."""

WIDTH = 128
DEPTH = 2
"""Convolutions of a tower. Tian et al. 2019 take 4 of width 256, on a GPU."""

RARE = 0.01
"""How probable a fresh head finds any label at any position (Lin et al. 2017, arXiv:1708.02002, section 4.1)."""

FAR = 4.0
"""How many strides away a fresh head takes every edge to be: the middle of the distances that a map is for."""

BOX = 5
"""Numbers of a position beside one for each label: left, top, right, bottom, and how well the box fits."""


class Norm(nn.LayerNorm):
    """Normalises the channels of each position `(B, C, H, W)`, so that no position depends on how large the other
    images of a batch are, which statistics over positions (GroupNorm) would."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class Fcos(Head):
    """A top-down pyramid (Lin et al. 2017, arXiv:1612.03144) and one detector for all of its maps (Tian et al. 2019,
    arXiv:1904.01355), with the overlap of a box as its quality in place of centerness.

    Built as `Fcos({8: C, 16: C, 32: C}, labels)`. Takes a pyramid with these strides and gives
    `{stride: (B, 5 + labels, H, W)}` float32 for the strides 8 to 128: the logarithm of the distance in strides to the
    left, top, right and bottom edge of a box, the logit of its overlap with the true one, and the logit of each label.
    """

    def __init__(self, features: Mapping[int, int], outputs: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleDict({str(stride): nn.Conv2d(features[stride], WIDTH, 1) for stride in READ})
        self.smooth = nn.ModuleDict({str(stride): _block() for stride in READ})
        self.coarser = nn.ModuleList([_block(2), _block(2)])
        self.label_tower = nn.Sequential(*(_block() for _ in range(DEPTH)))
        self.box_tower = nn.Sequential(*(_block() for _ in range(DEPTH)))
        self.labels = nn.Conv2d(WIDTH, outputs, 3, padding=1)
        self.boxes = nn.Conv2d(WIDTH, BOX, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(len(READ) + 2))
        for stride in READ:
            self.register_buffer(f"mean_{stride}", torch.zeros(features[stride]))
            self.register_buffer(f"size_{stride}", torch.ones(()))
        for last in (self.labels, self.boxes):
            nn.init.normal_(last.weight, std=0.01)
            nn.init.zeros_(cast(Tensor, last.bias))
        with torch.no_grad():
            cast(Tensor, self.labels.bias).fill_(-math.log((1 - RARE) / RARE))
            cast(Tensor, self.boxes.bias)[:4] = math.log(FAR)

    def forward(self, features: Mapping[int, MapView]) -> dict[int, Tensor]:
        found = {}
        for place, (stride, shared) in enumerate(self._pyramid(features).items()):
            label, box = self.label_tower(shared), self.box_tower(shared)
            with torch.autocast(shared.device.type, enabled=False):  # half precision would move edges by a pixel
                label, box = self.labels(label.float()), self.boxes(box.float())
                found[stride] = torch.cat([box[:, :4] * self.scales[place], box[:, 4:], label], 1)
        return found

    def _pyramid(self, features: Mapping[int, MapView]) -> dict[int, Tensor]:
        """Maps of width 128 by stride, finest first."""
        made: dict[int, Tensor] = {}
        above = None
        for stride in reversed(READ):
            hidden = features[stride].hidden
            mean, size = getattr(self, f"mean_{stride}"), getattr(self, f"size_{stride}")
            own = self.laterals[str(stride)]((hidden - mean[:, None, None]) / size)
            above = own if above is None else own + functional.interpolate(above, size=own.shape[-2:], mode="nearest")
            made[stride] = above
        found = {stride: self.smooth[str(stride)](made[stride]) for stride in READ}
        last = found[READ[-1]]
        # torch 2.11 on AMX: in bfloat16 the gradient of a 3 x 3 convolution of stride 2 on a map one position wide is
        # memory that nobody wrote.
        with torch.autocast(last.device.type, enabled=False):
            for place, further in enumerate(self.coarser, 1):
                last = found[READ[-1] << place] = further(last.float())
        return found

    @torch.no_grad()
    def fit_scaler(self, features: Mapping[int, MapView]) -> None:
        """Centre each channel of each map and divide the map by one number, the deviation of its channels (root mean
        square), since encoders and strides differ in scale. A number for each channel would raise those that hardly
        move; with it a detector of blood cells learned more slowly, and less in the end."""
        for stride in READ:
            rows = features[stride].hidden.double().movedim(1, -1).flatten(0, -2)
            mean = rows.mean(0)
            size = (rows - mean).square().mean().sqrt()
            getattr(self, f"mean_{stride}").copy_(mean)
            getattr(self, f"size_{stride}").copy_(size if size > 0 else torch.ones(()))


def _block(stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(WIDTH, WIDTH, 3, stride, 1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, Norm(WIDTH), nn.ReLU(inplace=True))
