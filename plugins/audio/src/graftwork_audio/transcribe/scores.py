"""How far transcripts are from what was said, in words and in characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graftwork import RawLabel, Scorer


class TranscriptScores(Scorer):
    """Word and character error rates over all examples: edits divided by what was said, not a mean of rates.

    Words lie between blanks; blanks in a row count as one, those at the ends not at all. Case, punctuation and accents
    are compared as they are. Keeps five counts.
    """

    def __init__(self) -> None:
        self._word_edits = self._words = self._character_edits = self._characters = 0
        self._right = self._texts = 0

    def add(self, answer: dict[str, Any], label: RawLabel) -> float:
        """Take in an example: `{"text": ...}` and the text that was said.

        Returns 1 less its character error rate, 0 at the least.
        """
        assert isinstance(label, str)
        said, heard = label.split(), answer["text"].split()
        text, guess = " ".join(said), " ".join(heard)
        edits = edit_distance(text, guess)
        self._word_edits += edit_distance(said, heard)
        self._words += len(said)
        self._character_edits += edits
        self._characters += len(text)
        self._right += text == guess
        self._texts += 1
        return max(0.0, 1 - edits / max(len(text), 1))

    def metrics(self) -> dict[str, float]:
        """wer and cer (0 is best; above 1 where more is heard than was said); sentence_accuracy: the share of texts
        without an error; nothing: the word error rate of empty answers. Where nothing was said, rates are the edits."""
        return {
            "wer": self._word_edits / max(self._words, 1),
            "cer": self._character_edits / max(self._characters, 1),
            "sentence_accuracy": self._right / max(self._texts, 1),
            "nothing": 1.0 if self._words else 0.0,
        }


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """The fewest items to put in, take out or replace that make `b` of `a` (Levenshtein 1966).

    Memory: one row of `len(b)`.
    """
    numbers = {item: number for number, item in enumerate(dict.fromkeys((*a, *b)))}
    other = np.array([numbers[item] for item in b], dtype=np.int64)
    columns = np.arange(len(b) + 1)
    row = columns
    for place, item in enumerate(a, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (other != numbers[item]))
        # An insertion adds 1 to the cell at the left: the smallest of all cells so far, less their columns.
        row = np.minimum.accumulate(np.concatenate(([place], best)) - columns) + columns
    return int(row[-1])
