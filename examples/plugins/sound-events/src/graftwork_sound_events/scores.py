"""How well events are found, second by second (segment-based figures: Mesaros et al. 2016, section 3.1.1)."""

from __future__ import annotations

import math
from typing import Any

from graftwork import RawLabel, Scorer, Spans

SEGMENT = 1.0
"""Seconds of a segment, in which a label is heard or not."""


class SegmentScores(Scorer):
    """Precision, recall and F1 over segments of a second and labels, over all clips together. Keeps three counts."""

    def __init__(self) -> None:
        self.right = self.found = self.true = 0

    def add(self, answer: dict[str, Any], label: RawLabel) -> float:
        """Returns the F1 of this clip; 1 where nothing is heard and nothing was found."""
        assert isinstance(label, Spans)
        true = {part for span in label.spans for part in _parts(span.start, span.end, span.label)}
        found = {part for one in answer["events"] for part in _parts(one["start"], one["end"], one["label"])}
        right = len(true & found)
        self.right, self.found, self.true = self.right + right, self.found + len(found), self.true + len(true)
        return _f1(right, len(found), len(true)) if true or found else 1.0

    def metrics(self) -> dict[str, float]:
        return {
            "f1": _f1(self.right, self.found, self.true),
            "precision": self.right / max(1, self.found),
            "recall": self.right / max(1, self.true),
            "nothing": 0.0,
        }


def _parts(start: float, end: float, label: str) -> list[tuple[int, str]]:
    return [(part, label) for part in range(int(start // SEGMENT), max(math.ceil(end / SEGMENT), 1))]


def _f1(right: int, found: int, true: int) -> float:
    return 2 * right / max(1, found + true)
