"""A decoder that stands in for a modality's reader where the features of both agree."""

from __future__ import annotations

from typing import Any

import torch

from graftwork.models.backbone import Backbone
from graftwork.models.decoding import batch_decoder
from graftwork.models.precision import AGREES
from graftwork.plugins.code_digest import made_by


class HeldDecoder:
    """What decodes files for an encoder on a device, see `graftwork.features.extraction.Extractor`.

    name, decode: of the decoder; empty and None for the reader alone. cosine: the least one between features of both
    on some examples, once they were compared.

    Raises `UnknownName`, and `UsageError` for a decoder of other devices.
    """

    def __init__(self, backbone: Backbone, word: str, device: torch.device) -> None:
        # Of an encoder that prepares values in a way of its own only the reader's values are known.
        plain = all(getattr(type(backbone), name) is getattr(Backbone, name) for name in ("prepare", "windows"))
        self.name, self.decode = batch_decoder(backbone.spec, word if plain else "reader", device)
        self.cosine: float | None = None

    def settle(self, cosine: float) -> None:
        """Use it from now on if its features agree by this least cosine."""
        self.cosine = cosine
        if cosine < AGREES:
            self.name, self.decode = "", None

    @property
    def about(self) -> dict[str, Any]:
        """What decodes, as JSON values for a cache key; empty for the reader."""
        if self.decode is None:
            return {}
        return {"decoder": [self.name, self.decode.version, made_by(f"{type(self.decode).__module__}:")]}
