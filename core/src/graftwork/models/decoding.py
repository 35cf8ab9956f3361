"""Files decoded and prepared many at once, by what a plugin brings besides its modality's reader."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from graftwork.errors import UsageError
from graftwork.plugins import registry
from graftwork.specs.backbone import BackboneSpec
from graftwork.specs.factories import load_factory


@dataclass(frozen=True)
class Decoded:
    """Files that became one prepared batch.

    rows: the places of those that could be decoded, in order. hidden: their state before the first stage, `(M, ...)`
    float32 on the decoder's device. defects: by name, the shares `(M,)` of the modality's measured defects.
    """

    rows: list[int]
    hidden: Tensor
    defects: Mapping[str, Tensor] = field(default_factory=dict)


class BatchDecoder(ABC):
    """Decodes and prepares files that meet an encoder's contract without a conversion, as its modality's reader and
    preparation do. Features of both are compared on the first batch. Called from several threads.

    version: of the library that decodes; part of the cache key.
    """

    version: str = ""

    @abstractmethod
    def takes(self, content: bytes) -> bool:
        """Whether it decodes such a file as the reader would; by the header alone."""

    @abstractmethod
    def __call__(self, files: Sequence[Tensor]) -> Decoded:
        """Files that it takes, `(n,)` uint8 in memory each, as one batch; the reader reads those that are not in its
        rows, and says what is wrong."""


def usual_decoder(spec: BackboneSpec, device: torch.device) -> str:
    """What "auto" means by GRAFTWORK_DECODER for an encoder on a device; "auto" itself if nothing is said.

    Raises `UnknownName` for a decoder that nobody brings.
    """
    word = os.environ.get("GRAFTWORK_DECODER", "") or "auto"
    if word in ("auto", "reader"):
        return word
    found = registry.decoder(word)
    return word if found.modality == spec.modality and device.type in found.devices else "auto"


def batch_decoder(spec: BackboneSpec, name: str, device: torch.device) -> tuple[str, BatchDecoder | None]:
    """The decoder of a name for an encoder, with its full name; for "auto" the device's default. None for the reader's
    own: where nothing else is named, or the library of the default is missing.

    Raises `UnknownName`, and `UsageError` for one that works on other devices, or whose library is missing.
    """
    asked = usual_decoder(spec, device) if name == "auto" else name
    found = registry.decoder_for(spec.modality, asked, device.type)
    if found is None:
        return "", None
    try:
        return found.name, load_factory(found.factory)(spec, device)
    except ImportError as error:
        if asked != "auto":
            raise UsageError(
                f"The decoder '{found.name}' cannot be loaded: {error}.", "Install what it needs, or name 'reader'."
            ) from error
        return "", None
