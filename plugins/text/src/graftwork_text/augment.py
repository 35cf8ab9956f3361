"""Texts changed by chance for training: words left out, as in word dropout (Iyyer et al. 2015, section 3.2)."""

from __future__ import annotations

import random
from collections.abc import Callable

DROPPED = 0.1
"""The part of the words that is left out."""


def build() -> Callable[[str, random.Random], str]:
    def change(text: str, rng: random.Random) -> str:
        words = text.split()
        kept = [word for word in words if rng.random() >= DROPPED]
        return " ".join(kept) if kept and len(kept) < len(words) else text

    return change
