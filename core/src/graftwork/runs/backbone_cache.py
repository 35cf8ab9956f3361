"""An encoder kept for the life of a process, for those who fit many heads on it."""

from __future__ import annotations

from typing import NamedTuple

from graftwork.freeze import freezing
from graftwork.models.backbone import Backbone, load_backbone
from graftwork.specs.backbone import BackboneSpec


class Loaded(NamedTuple):
    """An encoder that nobody trains, and the digests of its stages."""

    backbone: Backbone
    digests: dict[str, dict[str, str]]

    @property
    def digest(self) -> str:
        """One digest of all weights."""
        return freezing.weights_digest(self.digests)


def load_frozen(spec: BackboneSpec) -> Loaded:
    """Load an encoder with all of it frozen."""
    model = load_backbone(spec).requires_grad_(False)
    return Loaded(model, freezing.stage_digests(model.stages()))


class BackboneCache:
    """Keeps the last encoder that was asked for. It must not be trained."""

    def __init__(self) -> None:
        self._last: tuple[BackboneSpec, Loaded] | None = None

    def __call__(self, spec: BackboneSpec) -> Loaded:
        if self._last is None or self._last[0] != spec:
            self._last = spec, load_frozen(spec)
        return self._last[1]
