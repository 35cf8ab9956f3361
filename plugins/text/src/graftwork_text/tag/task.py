"""`tag`: spans of a text, each with a name."""

from __future__ import annotations

import bisect
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from graftwork import (
    AnswerFolder,
    Backbone,
    DataError,
    DenseTask,
    Loss,
    Metric,
    Piece,
    Raw,
    RawLabel,
    Recipe,
    Scorer,
    Seen,
    SequenceView,
    Softmax,
    Span,
    Spans,
    Targets,
    View,
    WholeExample,
    plural,
)
from graftwork_text.tag.legal import best_path, spans_of, tags
from graftwork_text.tag.scores import EntityScores
from graftwork_text.tag.words import Moved, windows, words_of
from graftwork_text.tag.writing import EntityFolder, drawn, text_of

RATE = 5e-5
"""The least learning rate of an encoder: Devlin et al. 2019, appendix A.3, whose largest is the one for tagging."""


@dataclass(frozen=True)
class Place:
    """Where a piece lies in its text. begin: its first character. words: those of the piece that it is asked about, in
    characters of the piece. moved: leads back to the text as it was given, which is `text`."""

    begin: int
    words: tuple[tuple[int, int], ...]
    moved: Moved
    text: str


class Tag(DenseTask):
    """Each word begins an entity, goes on with one, or is outside; a path through them that is legal (no entity goes
    on that did not begin) makes the answer."""

    figures: ClassVar = (Metric("f1", "entity F1"), Metric("precision", "precision"), Metric("recall", "recall"))
    tie_break: ClassVar = figures[2]
    applicable: ClassVar = frozenset({"label_smoothing", "c", "min_probability"})

    # Labels.

    def encode(self, raw: Sequence[RawLabel], known: Targets | None = None) -> Targets:
        spans = [self._spans(label) for label in raw]
        names = known.names if known is not None else tuple(sorted({span.label for some in spans for span in some}))
        if known is None and raw and not names:
            raise DataError(
                f"None of the {len(raw)} texts has a span, so there is nothing to learn.", "Give texts with spans."
            )
        strata = tuple(min((span.label for span in some), default="") for some in spans)
        return Targets(names, torch.zeros(len(raw)), strata=strata)

    def _spans(self, label: RawLabel) -> tuple[Span, ...]:
        if not isinstance(label, Spans) or label.unit != "characters":
            raise DataError(
                f"The labels are not spans of the text (the first: '{self.show(label)[:60]}'); CoNLL columns, JSON "
                "lines with spans, and columns of spans are accepted.",
                "See: graftwork check DATA --task tag",
            )
        found = sorted(label.spans, key=lambda span: (span.start, span.end))
        for one in found:
            if not (0 <= one.start < one.end):
                raise DataError(
                    f"The span {one.start:g} to {one.end:g} ('{one.label}') holds no character; spans that end after "
                    "they start are accepted.",
                    "Mend or remove it; see: graftwork check DATA --task tag",
                )
        for one, other in itertools.pairwise(found):
            if other.start < one.end:
                raise DataError(
                    f"The spans {one.start:g} to {one.end:g} ('{one.label}') and {other.start:g} to {other.end:g} "
                    f"('{other.label}') of one text overlap; spans that lie apart are accepted.",
                    "Keep one of them; see: graftwork check DATA --task tag",
                )
        return tuple(found)

    def unknown(self, raw: Sequence[RawLabel], known: Targets) -> list[str]:
        return sorted({span.label for label in raw for span in self._spans(label)} - set(known.names))

    def show(self, raw: RawLabel) -> str:
        if not isinstance(raw, Spans):
            return super().show(raw)
        return ", ".join(f"{span.label} {span.start:g}-{span.end:g}" for span in raw.spans) or "nothing"

    def tally(self, raw: Sequence[RawLabel]) -> dict[str, int]:
        return dict(Counter(s.label for label in raw if isinstance(label, Spans) for s in label.spans).most_common())

    def samples(self) -> list[RawLabel]:
        return [Spans((Span(0, 4, "name"),)), Spans(), Spans((Span(0, 4, "place"), Span(5, 8, "name")))] * 4

    # Pieces.

    def pieces(self, given: WholeExample, backbone: Backbone, known: Targets) -> list[Piece]:
        text: str = given.value
        moved = Moved(given.raw.value if isinstance(given.raw.value, str) else text, text)
        words = words_of(text)
        classes = None if given.label is None else self._classes(given.label, words, moved, known)
        made = []
        for cut in windows(text, words, lambda rest: backbone.windows(rest)[0].value):
            here = tuple((a - cut.begin, b - cut.begin) for a, b in words[cut.first : cut.last])
            label = None if classes is None else classes[cut.first : cut.last]
            place = Place(cut.begin, here, moved, given.raw.value if isinstance(given.raw.value, str) else text)
            made.append(Piece(text[cut.begin : cut.end], label, place, max(1, len(here))))
        return made

    def _classes(self, label: RawLabel, words: Sequence[tuple[int, int]], moved: Moved, known: Targets) -> list[int]:
        """The number of the tag of each word; one that a span holds in part is in it."""
        number = {tag: place for place, tag in enumerate(tags(known.names))}
        found = [0] * len(words)
        starts = [start for start, _ in words]
        for span in self._spans(label):
            begin, end = moved.there(int(span.start)), moved.there(int(span.end))
            first = max(0, bisect.bisect_right(starts, begin) - 1)
            inside = [i for i in range(first, len(words)) if words[i][0] < end and words[i][1] > begin]
            for place, i in enumerate(inside):
                found[i] = number["B-" + span.label if place == 0 else "I-" + span.label]
        return found

    def outputs(self, known: Targets) -> int:
        return len(tags(known.names))

    # Training.

    def solver_loss(self) -> Loss:
        return Softmax()

    def recipe(self, recipe: Recipe) -> Recipe:
        return changed(recipe, learning_rate=max(RATE, recipe.learning_rate))

    def calibrate(self, outputs: Tensor, targets: Tensor, known: Targets) -> Targets:
        """How much the score of O is lowered so that words get their tags with the highest F1. A linear head that is
        solved for likelihood leaves out most entities where they are rare."""
        scores, tag = outputs[:, 1:].max(1)
        behind, order = (outputs[:, 0] - scores).sort(stable=True)
        right = functional.pad((tag[order] + 1 == targets[order]).cumsum(0), (1, 0))
        tagged = torch.arange(len(right)) + (targets > 0).sum()
        least = int((behind < 0).sum())  # so many words get a tag as it is
        best = least + int((right / tagged.clamp(min=1))[least:].argmax())
        behind = functional.pad(behind, (0, 1), value=float(behind[-1]) + 1)
        lowered = float(behind[best - 1 : best + 1].mean()) if best > least else 0.0
        return changed(known, learned={**known.learned, "outside": lowered})

    def trivial_loss(self, known: Targets) -> float:
        return math.log(self.outputs(known))

    def loss(self, outputs: Seen, targets: Sequence[Any], smoothing: float = 0.0) -> Tensor:
        logits: Tensor = outputs.values
        wanted = torch.full(logits.shape[:2], -100)
        for row, (tokens, piece) in enumerate(zip(_tokens(outputs.view, outputs.pieces), outputs.pieces, strict=True)):
            for token, tag in zip(tokens, piece.label, strict=True):
                if token >= 0:
                    wanted[row, token] = tag
        wanted = wanted.to(logits.device)
        losses = functional.cross_entropy(
            logits.float().transpose(1, 2), wanted, reduction="none", label_smoothing=smoothing
        )
        return losses.sum(1) / (wanted >= 0).sum(1).clamp(min=1)

    def rows(self, view: View, pieces: Sequence[Piece]) -> tuple[Tensor, Tensor]:
        assert isinstance(view, SequenceView)
        features, classes = [], []
        for row, (tokens, piece) in enumerate(zip(_tokens(view, pieces), pieces, strict=True)):
            there = [place for place, token in enumerate(tokens) if token >= 0]
            features.append(view.hidden[row, [tokens[place] for place in there]])
            classes += [piece.label[place] for place in there]
        return torch.cat(features), torch.tensor(classes, dtype=torch.long)

    # Answers.

    def decode(self, outputs: Seen, known: Targets) -> list[Tensor]:
        """The logarithms of the probabilities of all tags for each word of a piece, `(W, K)` float64."""
        found = []
        logits = outputs.values.double().log_softmax(-1)
        for row, tokens in enumerate(_tokens(outputs.view, outputs.pieces)):
            outside = torch.zeros(logits.shape[2], dtype=torch.float64).log()
            outside[0] = 0.0
            found.append(
                torch.stack([logits[row, t] if t >= 0 else outside for t in tokens])
                if tokens
                else logits.new_zeros(0, logits.shape[2])
            )
        return found

    def join(self, found: Sequence[Tensor], pieces: Sequence[Piece], known: Targets) -> dict[str, Any]:
        scores = torch.cat(list(found)) if found else torch.zeros(0, self.outputs(known))
        places: list[Place] = [piece.place for piece in pieces]
        words = [(place.begin + a, place.begin + b) for place in places for a, b in place.words]
        entities = []
        weighed = scores.clone()
        weighed[:, 0] -= known.learned.get("outside", 0.0)
        for first, last, label, probability in spans_of(best_path(weighed, len(known.names)), scores, known.names):
            moved, text = places[0].moved, places[0].text
            start, end = moved.back(words[first][0]), moved.back(words[last][1])
            entities.append(
                {"start": start, "end": end, "label": label, "text": text[start:end], "probability": probability}
            )
        return {"entities": entities}

    def scorer(self, known: Targets) -> Scorer:
        return EntityScores()

    def as_answer(self, label: RawLabel, known: Targets) -> dict[str, Any]:
        entities = [
            {"start": s.start, "end": s.end, "label": s.label, "text": "", "probability": 1.0}
            for s in self._spans(label)
        ]
        return {"entities": entities}

    def as_label(self, answer: Mapping[str, Any]) -> RawLabel:
        return Spans(tuple(Span(one["start"], one["end"], one["label"]) for one in answer["entities"]))

    # What people see.

    def draw(self, raw: Raw, answer: Mapping[str, Any] | None, label: RawLabel | None, known: Targets) -> str:
        found = None if answer is None else self.as_label(answer)
        return drawn(
            text_of(raw),
            found if isinstance(found, Spans) else None,
            label if isinstance(label, Spans) else None,
            known.names,
        )

    def answer_folder(self, folder: Path, known: Targets) -> AnswerFolder:
        return EntityFolder(folder)

    def nothing(self) -> dict[str, Any]:
        return {"entities": None}

    def headline(self, metrics: Mapping[str, float], count: int) -> str:
        return (
            f"In {plural(count, 'held-out text')} {metrics['recall']:.1%} of the entities are found, and "
            f"{metrics['precision']:.1%} of what is found is right: F1 {metrics['f1']:.3f} of whole entities."
        )

    def columns(self) -> tuple[str, ...]:
        return ("entities",)

    def cells(self, answer: Mapping[str, Any]) -> tuple[str, ...]:
        return (", ".join(f"{one['text']} ({one['label']} {one['probability']:.2f})" for one in answer["entities"]),)


def _tokens(view: View, pieces: Sequence[Piece]) -> list[list[int]]:
    """For each word of each piece the first token that lies in it; -1 for a word that has none."""
    assert isinstance(view, SequenceView)
    found = []
    for mask, spans, piece in zip(view.mask.tolist(), view.spans.tolist(), pieces, strict=True):
        real = [(start, place) for place, ((start, _), there) in enumerate(zip(spans, mask, strict=True)) if there]
        starts = [start for start, _ in real]
        words = []
        for begin, end in piece.place.words:
            at = bisect.bisect_left(starts, begin)
            words.append(real[at][1] if at < len(real) and starts[at] < end else -1)
        found.append(words)
    return found
