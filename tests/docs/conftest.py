"""Guides and examples as they stand, on fewer examples and for one epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COUNTS = {
    "graftwork_text.tag.demo.MESSAGES": 30, "graftwork_audio.transcribe.demo.CLIPS": 12, "graftwork_image.shapes.PICTURES": 12,
    "graftwork_image.demo.EACH": 12,
}  # fmt: skip
SIDE = 96


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Small demo sets, small pictures, and one epoch, in a folder of its own."""
    from graftwork import demo
    from graftwork.runs import fitting

    fit: Callable[..., Any] = fitting.fit

    def short(*given: Any, **named: Any) -> Any:
        task, head = named.get("task"), named.get("head")
        if task in ("segment", "detect"):
            named["options"] = {**(named.get("options") or {}), "size": SIDE}
        solved = task is None or task == "tag" or head == "map-linear"
        if named.get("freeze", "head") != "head" or not solved:
            named["epochs"] = 1
        return fit(*given, **named)

    monkeypatch.setattr(fitting, "fit", short)
    monkeypatch.setattr(demo, "fit", short)
    for place, count in COUNTS.items():
        monkeypatch.setattr(place, count)
    monkeypatch.chdir(tmp_path)
