"""Examples that are longer than an encoder reads at once: cut, or read in windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graftwork.errors import UsageError
from graftwork.specs.contracts import show


@dataclass(frozen=True)
class LongInputs:
    """Examples that were too long for the encoder: cut ("truncate") or read in windows ("windows").

    examples: how many there are. windows: the number of windows they were read in. truncated: the mean fraction that
    was not read.
    """

    mode: str
    examples: int = 0
    windows: int = 0
    truncated: float = 0.0

    @classmethod
    def of(cls, mode: str, seen: Sequence[tuple[int, float]]) -> LongInputs:
        """Count them from the number of windows and the unread fraction of each example."""
        long_ones = [(parts, truncated) for parts, truncated in seen if truncated > 0 or parts > 1]
        count = len(long_ones)
        lost = sum(truncated for _, truncated in long_ones)
        return cls(mode, count, sum(parts for parts, _ in long_ones), round(lost / count, 4) if count else 0.0)

    def __add__(self, other: LongInputs) -> LongInputs:
        count = self.examples + other.examples
        lost = self.examples * self.truncated + other.examples * other.truncated
        return LongInputs(self.mode, count, self.windows + other.windows, round(lost / count, 4) if count else 0.0)

    def warnings(self, total: int, items: str) -> tuple[str, ...]:
        """What is said of those read in windows; those that are cut have a defect."""
        if not self.examples or self.mode == "truncate":
            return ()
        which = f"{show(self.examples)} of {show(total)} {items}: more than the encoder reads at once"
        return (f"{which}, so read in {show(self.windows)} windows whose features are averaged",)


def check_long(word: str) -> None:
    """Raises `UsageError` for anything but "truncate" and "windows"."""
    if word not in ("truncate", "windows"):
        raise UsageError(f"--long {word} is not known; truncate and windows are.", "Write: --long windows")
