"""How likely a sign is after those before it, by the training texts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

END = 0
"""Stands before the first sign, and for the end of a text."""


class Ngram:
    """An n-gram of signs that are numbered from 1 to `size`, smoothed as by Witten and Bell (1991): each order is
    mixed with the one below by how many kinds of signs follow a context; the lowest with an even chance.

    counts: how often a sign (the second) follows each context (the first), of every length below `order`.
    """

    def __init__(self, order: int, size: int, counts: Mapping[tuple[int, ...], Mapping[int, int]]) -> None:
        self.order, self.size, self.counts = order, size, counts
        self._totals = {context: sum(found.values()) for context, found in counts.items()}
        self._seen: dict[tuple[int, ...], list[float]] = {}

    @classmethod
    def of(cls, order: int, size: int, texts: Iterable[Sequence[int]]) -> Ngram:
        """Learned from texts of numbered signs."""
        counts: dict[tuple[int, ...], Counter[int]] = {}
        for text in texts:
            signs = [END] * (order - 1) + list(text) + [END]
            for place in range(order - 1, len(signs)):
                for length in range(order):
                    context = tuple(signs[place - length : place])
                    counts.setdefault(context, Counter())[signs[place]] += 1
        return cls(order, size, counts)

    def logs(self, before: Sequence[int]) -> list[float]:
        """The logarithm of the probability of each sign after those, of the end (0) too: `size + 1` numbers."""
        padded = [END] * (self.order - 1) + list(before[max(0, len(before) - self.order + 1) :])
        context = tuple(padded[len(padded) - self.order + 1 :])
        if context not in self._seen:
            self._seen[context] = [math.log(chance) for chance in self._chances(context)]
        return self._seen[context]

    def _chances(self, context: tuple[int, ...]) -> list[float]:
        lower = self._chances(context[1:]) if context else [1 / (self.size + 1)] * (self.size + 1)
        found = self.counts.get(context)
        if not found:
            return lower
        kinds, total = len(found), self._totals[context]
        return [(found.get(sign, 0) + kinds * chance) / (total + kinds) for sign, chance in enumerate(lower)]

    def as_json(self) -> dict[str, Any]:
        """Contexts as numbers between blanks, each with the counts of what follows."""
        counts = {
            " ".join(map(str, context)): [number for pair in sorted(found.items()) for number in pair]
            for context, found in sorted(self.counts.items())
        }
        return {"order": self.order, "size": self.size, "counts": counts}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Ngram:
        counts = {
            tuple(map(int, context.split())): dict(zip(found[::2], found[1::2], strict=True))
            for context, found in said["counts"].items()
        }
        return cls(said["order"], said["size"], counts)
