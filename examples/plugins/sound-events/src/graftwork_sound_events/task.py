"""`events`: what is heard in a clip, and from when to when; several things may be heard at once."""

from __future__ import annotations

import html
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from graftwork import (
    Backbone,
    DataError,
    DenseTask,
    Loss,
    Metric,
    Piece,
    Raw,
    RawLabel,
    Scorer,
    Seen,
    SequenceView,
    Sigmoid,
    Span,
    Spans,
    Targets,
    View,
    WholeExample,
)
from graftwork_sound_events.scores import SegmentScores

OVERLAP = 1.0
"""Seconds that two windows of a long clip share; each frame is taken from the one in whose middle it lies."""


class Events(DenseTask):
    """Each frame says how likely each label is heard. Options: window, the most seconds that are read at once;
    threshold, from which probability on a label is heard; shortest, seconds of an event at least."""

    figures: ClassVar = (Metric("f1", "F1 by seconds"), Metric("precision", "precision"), Metric("recall", "recall"))
    tie_break: ClassVar = figures[2]
    usual: ClassVar = {"window": 10.0, "threshold": 0.5, "shortest": 0.1}
    of_answers: ClassVar = frozenset({"threshold", "shortest"})
    applicable: ClassVar = frozenset({"c", "min_probability"})

    # Labels.

    def encode(self, raw: Sequence[RawLabel], known: Targets | None = None) -> Targets:
        names = sorted({span.label for label in raw for span in _spans(label)})
        if known is None and raw and not names:
            raise DataError(f"In none of the {len(raw)} clips an event is marked.", "Give clips with events.")
        strata = tuple(min((span.label for span in _spans(label)), default="") for label in raw)
        return Targets(known.names if known else tuple(names), torch.zeros(len(raw)), strata=strata)

    def unknown(self, raw: Sequence[RawLabel], known: Targets) -> list[str]:
        return sorted({span.label for label in raw for span in _spans(label)} - set(known.names))

    def show(self, raw: RawLabel) -> str:
        return ", ".join(f"{s.label} {s.start:.2f}-{s.end:.2f} s" for s in getattr(raw, "spans", ())) or "nothing"

    def tally(self, raw: Sequence[RawLabel]) -> dict[str, int]:
        return dict(Counter(span.label for label in raw for span in getattr(label, "spans", ())).most_common())

    def samples(self) -> list[RawLabel]:
        bark, horn = Span(0.5, 1.5, "bark"), Span(1.0, 4.0, "horn")
        return [Spans((bark,), "seconds"), Spans((), "seconds"), Spans((bark, horn), "seconds")] * 4

    # Pieces. A value of audio has `samples` `(C, T)` and a `rate`.

    def pieces(self, given: WholeExample, backbone: Backbone, known: Targets) -> list[Piece]:
        clip, made = given.value, []
        seconds = clip.samples.shape[1] / clip.rate
        longest = backbone.spec.contract.facts.get("duration")
        window = min(self.options["window"], float(getattr(longest, "high", math.inf)))
        starts = [0.0]
        while starts[-1] + window < seconds:
            starts.append(min(starts[-1] + window - OVERLAP, seconds - window))
        middles = [(a + window + b) / 2 for a, b in itertools.pairwise(starts)]
        for begin, first, last in zip(starts, [0.0, *middles], [*middles, math.inf], strict=True):
            cut = slice(round(begin * clip.rate), round((begin + window) * clip.rate))
            label = None
            if given.label is not None:
                label = [(s.start - begin, s.end - begin, known.names.index(s.label)) for s in _spans(given.label)]
            made.append(Piece(replace(clip, samples=clip.samples[:, cut]), label, (begin, first, last), window))
        return made

    # Training.

    def solver_loss(self) -> Loss:
        return Sigmoid()

    def trivial_loss(self, known: Targets) -> float:
        return math.log(2)

    def loss(self, outputs: Seen, targets: Sequence[Any], smoothing: float = 0.0) -> Tensor:
        assert isinstance(outputs.view, SequenceView)
        logits: Tensor = outputs.values
        wanted = torch.stack(
            [_heard(spans, label, logits.shape[2]) for spans, label in zip(outputs.view.spans, targets, strict=True)]
        )
        losses = binary_cross_entropy_with_logits(logits.float(), wanted.to(logits.device), reduction="none").mean(2)
        mask = outputs.view.mask
        return (losses * mask).sum(1) / mask.sum(1).clamp(min=1)

    def rows(self, view: View, pieces: Sequence[Piece]) -> tuple[Tensor, Tensor]:
        assert isinstance(view, SequenceView)
        count = 1 + max((number for piece in pieces for *_, number in piece.label), default=0)
        heard = [_heard(spans, piece.label, count) for spans, piece in zip(view.spans, pieces, strict=True)]
        return view.hidden[view.mask], torch.stack(heard)[view.mask.cpu()]

    # Answers.

    def decode(self, outputs: Seen, known: Targets) -> list[tuple[Tensor, Tensor]]:
        """For each piece the seconds of its frames that count `(T, 2)`, and the probability of each label `(T, K)`."""
        view, found = outputs.view, []
        assert isinstance(view, SequenceView)
        for row, piece in enumerate(outputs.pieces):
            begin, first, last = piece.place
            spans = view.spans[row] + begin
            middle = spans.mean(1)
            here = view.mask[row].cpu() & (middle >= first) & (middle < last)
            found.append((spans[here], outputs.values[row][here].sigmoid()))
        return found

    def join(self, found: Sequence[Any], pieces: Sequence[Piece], known: Targets) -> dict[str, Any]:
        spans, chances = (torch.cat([part[place] for part in found]) for place in (0, 1))
        events = []
        for number, name in enumerate(known.names):
            over = (chances[:, number] >= self.options["threshold"]).tolist()
            for heard, group in itertools.groupby(range(len(over)), key=over.__getitem__):
                frames = list(group)
                start, end = float(spans[frames[0], 0]), float(spans[frames[-1], 1])
                if heard and end - start >= self.options["shortest"]:
                    chance = float(chances[frames, number].mean())
                    events.append(
                        {"start": round(start, 3), "end": round(end, 3), "label": name, "probability": chance}
                    )
        return {"events": sorted(events, key=lambda event: event["start"])}

    def scorer(self, known: Targets) -> Scorer:
        return SegmentScores()

    def as_answer(self, label: RawLabel, known: Targets) -> dict[str, Any]:
        return {
            "events": [{"start": s.start, "end": s.end, "label": s.label, "probability": 1.0} for s in _spans(label)]
        }

    def as_label(self, answer: Mapping[str, Any]) -> RawLabel:
        return Spans(tuple(Span(one["start"], one["end"], one["label"]) for one in answer["events"]), "seconds")

    # What people see.

    def draw(self, raw: Raw, answer: Mapping[str, Any] | None, label: RawLabel | None, known: Targets) -> str:
        told = [("true", label), ("found", None if answer is None else self.as_label(answer))]
        lines = (f"<dt>{word}</dt><dd>{html.escape(self.show(one))}</dd>" for word, one in told if one is not None)
        return f'<dl class="texts">{"".join(lines)}</dl>'

    def headline(self, metrics: Mapping[str, float], count: int) -> str:
        return (
            f"In {count} held-out clips {metrics['recall']:.1%} of the seconds with an event are found (F1 "
            f"{metrics['f1']:.3f})."
        )

    def nothing(self) -> dict[str, Any]:
        return {"events": None}

    def columns(self) -> tuple[str, ...]:
        return ("events",)

    def cells(self, answer: Mapping[str, Any]) -> tuple[str, ...]:
        return (", ".join(f"{e['label']} {e['start']:.2f}-{e['end']:.2f} s" for e in answer["events"]) or "nothing",)


def _spans(label: RawLabel) -> tuple[Span, ...]:
    if not isinstance(label, Spans) or label.unit != "seconds":
        raise DataError(
            "The labels are no spans of seconds; selection tables of Raven and label tracks of Audacity are accepted.",
            "See: graftwork check DATA --task events",
        )
    for span in label.spans:
        if not 0 <= span.start < span.end:
            raise DataError(
                f"The event '{span.label}' from {span.start:g} to {span.end:g} s lasts no time; events that end after "
                "they begin are accepted.",
                "Mend or remove it.",
            )
    return label.spans


def _heard(spans: Tensor, label: Sequence[tuple[float, float, int]], count: int) -> Tensor:
    """Which labels are heard in each frame, `(T, K)`: by its middle."""
    middle, found = spans.mean(1), torch.zeros(len(spans), count)
    for start, end, number in label:
        found[(middle >= start) & (middle < end), number] = 1.0
    return found
