"""The page of `check`: what data are, what is wrong with them, and whether they fit an encoder."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

from graftwork.errors import DataError, Unreadable
from graftwork.reports.page import write_asked
from graftwork.reports.shown import ShownExample, Viewer, named

DRAWN = 12
"""How many examples are drawn with their labels."""


def write_check(checked: Any, path: Path) -> None:
    """What `check` found, with a picture or the words of what is wrong.

    Raises `DataError` for a path that cannot be written.
    """
    write_asked(
        path, "check.html.j2", checked=checked, data=checked.data, observed=checked.data.observed,
        labelled=_labels_drawn(checked),
        viewer=Viewer(checked.reader), named=named(checked.reader, checked.raws, checked.agreement),
    )  # fmt: skip


def _labels_drawn(checked: Any) -> list[ShownExample]:
    """Some examples with the labels that lie in them, drawn at random but always the same."""
    data, task = checked.data, checked.task
    if not data.labels or not hasattr(task, "draw"):
        return []
    try:
        known = task.encode(data.labels)
    except DataError:  # it is among the problems
        return []
    made = []
    for place in sorted(random.Random(0).sample(range(len(data)), min(DRAWN, len(data)))):
        raw = data.raws[place]
        with contextlib.suppress(Unreadable, DataError):
            if html := task.draw(raw, None, data.labels[place], known):
                made.append(ShownExample(checked.reader.show(raw), html=html))
    return made
