"""One kind of problem with data, as `graftwork check` lists it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """A problem, how many examples it affects, and the names of the first of them.

    kind: "unreadable", "empty", "unlabelled", "label", "exact_duplicates", "near_duplicates", "conflicting_labels",
    "leakage", "unseen_label", "mismatch", "truncated", a modality's name for a defect ("blank"), or a task's name for a
    problem with labels ("imbalance", "too_few").
    groups: for the first groups of examples that belong together, their numbers in the listing.
    """

    kind: str
    message: str
    hint: str
    count: int
    examples: tuple[str, ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "message": self.message,
            "hint": self.hint,
            "count": self.count,
            "examples": list(self.examples),
        }
