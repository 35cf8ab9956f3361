"""One kind of thing that is wrong with data, as `graftwork check` lists it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """How many examples a problem touches, and the first of them by name.

    kind: "unreadable", "empty", "unlabelled", "exact_duplicates", "near_duplicates", "conflicting_labels", "leakage",
    "left_out", "mismatch", or what a task calls what is wrong with labels ("imbalance", "too_few").
    groups: the numbers in the listing of the first examples that belong together.
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
