"""A small labelled set that a plugin brings, described without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graftwork.specs.task import DEFAULT_TASK


@dataclass(frozen=True)
class Demo:
    """A small labelled set that a plugin brings.

    name: as `graftwork demo` gives it. modality: of its examples. data: names `build(folder) -> path`, which may write
    into `folder` and returns a source for `graftwork.data`. task: what its labels are. baseline: names
    `features(values) -> (N, F) array`, features of decoded inputs made without an encoder; empty for a task that judges
    the answer that needs no input. baseline_name: what these features are, in words; the name of the task's figure
    ("nothing") where there are none. settings: what its fit is told besides (`{"epochs": 8, "options": {"size":
    160}}`), so that it ends soon.
    """

    name: str
    modality: str
    data: str
    baseline: str
    baseline_name: str
    task: str = DEFAULT_TASK
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
