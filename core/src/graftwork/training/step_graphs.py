"""The work of a step as CUDA graphs: recorded once for each shape of batch, then started by one call.

A step of a small batch is some thousand short kernels, and a GPU waits for the program that launches them one by one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Inputs = Sequence[Tensor | None]
Work = Callable[[Inputs], Tensor]
"""Computes the gradients of a batch from these tensors, which are all that differs between batches, and its loss `()`,
which needs no gradient."""

MOST = 64
"""Shapes that are recorded, at most: each holds its batch, and what belongs to its kernels."""


@dataclass(frozen=True)
class _Recorded:
    inputs: Inputs
    replay: Callable[[], Tensor]


class StepGraphs:
    """Does the work of batches, replaying it for shapes that were seen before.

    A shape is run as it is when it is first seen, and recorded when it comes again. What a GPU cannot record (the
    program waits for a result), or what chance decides on the processor, is run as it is from then on; either gives the
    same numbers. Gradients and parameters must stay in place between steps.

    record: records work that is done by a call, and gives what does it again.
    """

    def __init__(self, record: Callable[[Callable[[], Tensor]], Callable[[], Tensor]] | None = None) -> None:
        self._record = record or CudaRecorder()
        self._known: dict[Any, _Recorded | None] = {}
        self.usable = True

    def __call__(self, work: Work, inputs: Inputs) -> Tensor:
        key = tuple(None if t is None else (t.shape, t.dtype, t.stride()) for t in inputs)
        known = self._known.get(key)
        if known is None:
            if not self.usable:
                return work(inputs)
            if key not in self._known:
                return self._first(work, inputs, key)
            try:
                held = [None if t is None else t.clone() for t in inputs]
                known = _Recorded(held, self._record(lambda: work(held)))
            except RuntimeError:  # also of too little memory
                self.usable = False
                return work(inputs)
            self._known[key] = known
        for here, given in zip(known.inputs, inputs, strict=True):
            if here is not None and given is not None:
                here.copy_(given)
        return known.replay().clone()

    def _first(self, work: Work, inputs: Inputs, key: Any) -> Tensor:
        before = _chance()
        loss = work(inputs)
        if _chance() != before:
            self.usable = False
        elif len(self._known) < MOST:
            self._known[key] = None
        return loss


class CudaRecorder:
    """Records on the current stream, which must not be the default one. All recordings share their memory, since they
    are replayed one after the other.

    Raises `RuntimeError` for what cannot be recorded.
    """

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        # Other threads go on copying batches to pinned memory.
        graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
        try:
            loss = work()
        finally:
            graph.capture_end()

        def replay() -> Tensor:
            graph.replay()
            return loss

        return replay


def _chance() -> tuple[Any, bytes, bytes]:
    """Where the random numbers of the processor stand."""
    return random.getstate(), repr(np.random.get_state()).encode(), torch.get_rng_state().numpy().tobytes()
