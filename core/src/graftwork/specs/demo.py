"""A small labelled set that a plugin brings, described without loading it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Demo:
    """A small labelled set that a plugin brings.

    data: names `build(folder) -> path`, which may write into `folder` and returns a source for `graftwork.data`.
    baseline: names `features(values) -> (N, F) array`, features of decoded inputs made without an encoder.
    """

    name: str
    modality: str
    data: str
    baseline: str
    baseline_name: str
