"""Answers of a run whose task's answers lie in the input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import Any

import numpy as np
import torch

from graftwork.errors import Unreadable
from graftwork.features.pieces import PieceExamples, WholeExamples
from graftwork.models.backbone import Backbone
from graftwork.models.reading import Wanted
from graftwork.plugins import registry
from graftwork.reports.shown import ShownExample
from graftwork.specs.task import RawLabel
from graftwork.tasks.dense import DenseTask, TaskCutter
from graftwork.tasks.heads import Head
from graftwork.tasks.task import Answer, Targets
from graftwork.training.dense_model import GraftedView, answers
from graftwork.training.dense_tuning import Judged, judged
from graftwork.training.trainer import Trained


class DenseAnswers:
    """The model of a run, and how it answers. precision: "fp32" or "bf16"."""

    def __init__(
        self, record: Mapping[str, Any], task: DenseTask, known: Targets, backbone: Backbone, head: Head, *,
        precision: str, device: str,
    ) -> None:  # fmt: skip
        spec = registry.head(record["head"])
        self.task, self.known, self.device = task, known, torch.device(device)
        self.what = Wanted(spec.reads, backbone.tap(record["tap"]), spec.strides)
        self.model = GraftedView(backbone, head, self.what).to(self.device).eval()
        self.layout = torch.channels_last if backbone.channels_last else torch.preserve_format
        self.half = precision == "bf16"

    def __call__(self, examples: WholeExamples, numbers: Sequence[int]) -> Iterator[tuple[int, Answer]]:
        """The answer for each of these examples, with its number, in any order."""
        source = PieceExamples(examples, TaskCutter(self.task, self.known), self.what, {})

        def autocast() -> Any:
            return torch.autocast(self.device.type, torch.bfloat16) if self.half else nullcontext()

        return answers(
            self.model, self.task, self.known, source, numbers, self.device, autocast=autocast, layout=self.layout
        )

    def judge(self, examples: WholeExamples, labels: Mapping[int, RawLabel]) -> Judged:
        """The figures of the answers for labelled examples, by number."""
        return judged(self.task, self.known, self(examples, list(labels)), labels, examples)


def drawn(
    task: DenseTask, known: Targets, examples: WholeExamples, trained: Trained, labels: Mapping[int, RawLabel]
) -> list[ShownExample]:
    """The validation examples with the worst answers, as the task draws them."""
    found = []
    for number, answer in trained.worst:
        with suppress(Unreadable):
            if html := task.draw(examples.raws[number], answer, labels[number], known):
                found.append(ShownExample(examples.name(number), html=html))
    return found


def readable(examples: WholeExamples) -> tuple[dict[int, np.ndarray], dict[int, str]]:
    """For each example that can be read its shares of defects `(K,)` by number, and for the others why not."""
    shares, reasons = {}, {}
    for number in range(len(examples)):
        try:
            shares[number] = examples.shares(number, examples.read(number))
        except Unreadable as error:
            reasons[number] = str(error)
    return shares, reasons
