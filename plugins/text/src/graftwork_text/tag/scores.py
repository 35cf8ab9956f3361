"""How good found entities are: a whole one is right, or it is not (CoNLL-2003)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from graftwork import RawLabel, Scorer, Spans


class EntityScores(Scorer):
    """Precision, recall and F1 of whole entities: right where start, end and label all are.

    Micro: over the entities of all examples (Tjong Kim Sang and De Meulder 2003, section 3.3). Keeps three counts for
    each label. An entity that is given twice in one example counts once.
    """

    def __init__(self) -> None:
        self._right: Counter[str] = Counter()
        self._found: Counter[str] = Counter()
        self._true: Counter[str] = Counter()

    def add(self, answer: dict[str, Any], label: RawLabel) -> float:
        """Take in an example: `{"entities": [{start, end, label}, ...]}` and its `Spans`, in the same unit.

        Returns the F1 of this example; 1 where nothing was there and nothing was found.
        """
        assert isinstance(label, Spans)
        true = {(span.start, span.end, span.label) for span in label.spans}
        found = {(entity["start"], entity["end"], entity["label"]) for entity in answer["entities"]}
        right = true & found
        for counts, spans in ((self._right, right), (self._found, found), (self._true, true)):
            counts.update(name for *_, name in spans)
        return _f1(len(right), len(found), len(true)) if true or found else 1.0

    def metrics(self) -> dict[str, Any]:
        """f1, precision and recall, 0..1; `nothing`: the F1 of finding nothing; `by_label`: the F1 of each label that
        was there or found. 0 where a figure has nothing to count (as seqeval has it)."""
        right, found, true = (counts.total() for counts in (self._right, self._found, self._true))
        names = sorted(self._found.keys() | self._true.keys())
        return {
            "f1": _f1(right, found, true),
            "precision": right / max(found, 1),
            "recall": right / max(true, 1),
            "nothing": 0.0,
            "by_label": {"f1": {name: _f1(self._right[name], self._found[name], self._true[name]) for name in names}},
        }


def _f1(right: int, found: int, true: int) -> float:
    """The harmonic mean of precision and recall; 0 without any entity."""
    return 2 * right / max(found + true, 1)
