"""JPEG files decoded, resized and normalised many at once: by libjpeg-turbo on a processor, by nvJPEG on a GPU.

Both come with torchvision. They stand in for Pillow where an image is nothing out of the ordinary; whatever else it is,
damage included, Pillow reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torchvision import __version__ as version
from torchvision.io import ImageReadMode, decode_jpeg

from graftwork import BackboneSpec, BatchDecoder, Decoded
from graftwork_image.blank import NOTHING
from graftwork_image.geometry import Resize, Size, Window
from graftwork_image.prepare import moved

FRAMES = {0xC0, 0xC1, 0xC2}
"""Markers of frames coded by Huffman's codes: baseline, extended and progressive (ITU T.81, table B.1)."""

ALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers without a segment."""

PIXELS = 64_000_000
"""Pixels that are resized at once, which bounds the memory that it takes."""


class Jpegs(BatchDecoder):
    """Prepared as `spec.preparation` says, see `graftwork_image.prepare`."""

    version = f"torchvision {version}"

    def __init__(self, spec: BackboneSpec, device: torch.device) -> None:
        self.numbers, self.device = spec.preparation, device
        self.mean = torch.tensor(self.numbers["mean"], device=device).view(3, 1, 1)
        self.std = torch.tensor(self.numbers["std"], device=device).view(3, 1, 1)

    def takes(self, content: bytes) -> bool:
        """Whole files of three components, luminance and colours, of 8 bits."""
        return content.endswith(b"\xff\xd9") and _ordinary(content)

    def __call__(self, files: Sequence[Tensor]) -> Decoded:
        crop = self.numbers["crop"]
        hidden = torch.empty(len(files), 3, crop, crop, device=self.device)
        blank = torch.zeros(len(files), device=self.device)
        groups: dict[Size, list[tuple[int, Tensor]]] = {}
        for place, image in self._decoded(files, 0):
            groups.setdefault((image.shape[2], image.shape[1]), []).append((place, image))
        rows: list[int] = []
        for size, images in groups.items():
            steps = moved(size, self.numbers).steps
            match steps:
                case (Resize(), Window()):
                    at_once = max(1, PIXELS // (size[0] * size[1]))
                    for start in range(0, len(images), at_once):
                        places, pixels = zip(*images[start : start + at_once], strict=True)
                        where = torch.tensor(places, device=self.device)
                        hidden[where], blank[where] = self._prepared(torch.stack(pixels), *steps)
                        rows += places
        rows.sort()
        kept = torch.tensor(rows, device=self.device)
        whole = len(rows) == len(files)
        return Decoded(rows, hidden if whole else hidden[kept], {"blank": blank if whole else blank[kept]})

    def _decoded(self, files: Sequence[Tensor], begin: int) -> Iterator[tuple[int, Tensor]]:
        """Those that can be decoded, with their places. A list fails as a whole, so it is halved until only the bad
        file fails."""
        try:
            found = decode_jpeg(list(files), mode=ImageReadMode.RGB, device=self.device)
        except RuntimeError:
            if len(files) > 1:
                middle = len(files) // 2
                yield from self._decoded(files[:middle], begin)
                yield from self._decoded(files[middle:], begin + middle)
        else:
            yield from enumerate(found, begin)

    def _prepared(self, pixels: Tensor, resize: Resize, window: Window) -> tuple[Tensor, Tensor]:
        """Images `(N, 3, H, W)` uint8 of one size, prepared, and whether each is blank, 0 or 1."""
        on_gpu = self.device.type == "cuda"
        pixels = pixels.float() if on_gpu else pixels.contiguous(memory_format=torch.channels_last)
        blank = _blank(pixels)
        resized = functional.interpolate(
            pixels, size=resize.to[::-1], mode=self.numbers["interpolation"], antialias=True
        ).float()
        resized = resized.round().clamp(0, 255) if on_gpu else resized
        left, top, (width, height) = window.left, window.top, window.to
        right, bottom = left + width - resize.to[0], top + height - resize.to[1]
        cut = functional.pad(resized, (-left, right, -top, bottom))
        black, white = self.numbers["range"]
        return (cut.div(255).mul(white - black).add(black) - self.mean) / self.std, blank


def _blank(pixels: Tensor) -> Tensor:
    """Whether images `(N, 3, H, W)` of levels up to 255 show nothing, 0 or 1, see `graftwork_image.blank`."""
    small = functional.adaptive_avg_pool2d(pixels if pixels.is_floating_point() else pixels.float(), 64)
    return (small.std((2, 3), correction=0).amax(1) < NOTHING).float()


def build(spec: BackboneSpec, device: torch.device) -> Jpegs:
    """A decoder that prepares images for an encoder."""
    return Jpegs(spec, device)


def _ordinary(content: bytes) -> bool:
    """Whether a file is a JPEG with one frame of three components of 8 bits, which are not red, green and blue."""
    if content[:2] != b"\xff\xd8":
        return False
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF or marker in ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        segment = content[at + 4 : at + 2 + length]
        if marker == 0xEE and segment[:5] == b"Adobe" and segment[11:12] != b"\x01":
            return False  # the components are the colours themselves
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            components = segment[6::3]
            return marker in FRAMES and segment[:1] == b"\x08" and len(components) == 3 and components != b"RGB"
        at += 2 + length
    return False
