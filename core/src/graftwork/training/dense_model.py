"""A backbone with a head on a view of it, and the answers that both give to examples in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
from torch.utils.checkpoint import checkpoint

from graftwork.features.examples import batches
from graftwork.features.pieces import PieceBatch, PieceExamples
from graftwork.models.backbone import Backbone
from graftwork.models.reading import Reading, View, Wanted, channels, read_on, view_of
from graftwork.models.stages import Stage, State
from graftwork.models.views import SequenceView
from graftwork.runtime.parallel import prefetch_map
from graftwork.tasks.dense import DenseTask, Seen
from graftwork.tasks.heads import Head
from graftwork.tasks.task import Answer, Targets
from graftwork.training.model import Grafted


class GraftedView(Grafted):
    """Batches of pieces to what the head makes of them. what: the view that the head reads."""

    def __init__(
        self,
        backbone: Backbone,
        head: Head,
        what: Wanted,
        dropout: float = 0.0,
        *,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__(backbone, head, what.tap, dropout, gradient_checkpointing=gradient_checkpointing)
        self.what = what

    def read(self, batch: PieceBatch, end: int | None = None) -> Reading:
        """The stages up to `end` (excluded) run on a batch; all up to the tap for None."""
        end = self.tap + 1 if end is None else end
        return read_on(self.backbone, batch.reading, end, self.what, self._run)

    def view(self, batch: PieceBatch) -> View:
        found = view_of(self.backbone, self.read(batch), self.what, [piece.value for piece in batch.pieces])
        if isinstance(found, SequenceView):
            return SequenceView(self.dropout(found.hidden), found.mask, found.spans)
        return found

    def forward(self, batch: PieceBatch) -> Seen:  # pyright: ignore[reportIncompatibleMethodOverride]
        view = self.view(batch)
        return Seen(self.head(view), view, batch.pieces)

    def _run(self, stage: Stage, state: State) -> State:
        if self.gradient_checkpointing and self.training and any(p.requires_grad for p in stage.parameters()):
            return cast(State, checkpoint(stage, state, use_reentrant=False))
        return stage(state)


def width_of(source: PieceExamples, numbers: Sequence[int]) -> int | dict[int, int]:
    """How wide the view of an encoder is, measured on the first example, before the encoder moves to a device."""
    backbone = source.examples.backbone.eval()
    batch = source.batch(list(numbers[:1]))
    with torch.no_grad():
        reading = read_on(backbone, batch.reading, source.what.tap + 1, source.what)
        return channels(view_of(backbone, reading, source.what, [piece.value for piece in batch.pieces]))


def answers(
    model: GraftedView,
    task: DenseTask,
    known: Targets,
    source: PieceExamples,
    numbers: Sequence[int],
    device: torch.device,
    *,
    load: Callable[[list[int]], PieceBatch] | None = None,
    autocast: Callable[..., AbstractContextManager] = nullcontext,
    layout: torch.memory_format = torch.preserve_format,
) -> Iterator[tuple[int, Answer]]:
    """The answer for each of these examples, with its number, in an order of their size. load: gives their batch where
    frozen stages have read it before.
    """
    examples = source.examples
    groups = batches(examples.sizes(numbers), examples.backbone.batch_size)
    chosen = [[numbers[place] for place in group] for group in groups]
    model.eval()
    for batch in prefetch_map(load or source.batch, chosen):
        found: list[list] = [[] for _ in batch.examples]
        for part in batch.parts(task.at_once(examples.backbone)):
            with torch.no_grad(), autocast():
                seen = model(part.to(device, layout))
            for owner, one in zip(part.owners, task.decode(_on_processor(seen), known), strict=True):
                found[owner].append(one)
        pieces = [
            [piece for piece, owner in zip(batch.pieces, batch.owners, strict=True) if owner == place]
            for place in range(len(batch.examples))
        ]
        for number, parts, cut in zip(batch.examples, found, pieces, strict=True):
            yield number, task.join(parts, cut, known)


def _on_processor(seen: Seen) -> Seen:
    """With outputs as float32 in the processor's memory."""

    def moved(value):
        if isinstance(value, torch.Tensor):
            value = value.cpu()
            return value.float() if value.is_floating_point() else value
        if isinstance(value, dict):
            return {name: moved(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(moved, value)) if not hasattr(value, "_fields") else type(value)(*map(moved, value))
        return value

    return Seen(moved(seen.values), seen.view, seen.pieces)
