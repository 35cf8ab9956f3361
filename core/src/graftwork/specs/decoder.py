"""Ways to decode files besides a modality's reader, described without importing them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DecoderSpec:
    """A way to decode and prepare many files of a modality at once.

    name: "image:nvjpeg". modality: of the files. factory: names `build(spec, device) -> graftwork.BatchDecoder` for a
    `BackboneSpec`; it raises `ImportError` where a library is missing. devices: the types of devices that it decodes on
    ("cpu", "cuda"). default: those of them where it is used unless another is named.
    """

    name: str
    modality: str
    factory: str
    devices: tuple[str, ...]
    default: tuple[str, ...] = ()
