"""A small labelled set that comes with a plugin, described without loading it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Demo:
    """A small labelled set that comes with a plugin.

    data: names `build(folder) -> path`, which may write into `folder` and returns what `graftwork.data` takes.
    baseline: names `features(values) -> (N, F) array` of decoded inputs without any encoder.
    """

    name: str
    modality: str
    data: str
    baseline: str
    baseline_name: str
