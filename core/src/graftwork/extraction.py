"""Running the frozen part once over every example: read, convert, prepare, fold, pool.

Examples of like size share a batch, so little padding is computed; reading goes on beside computing.
"""

from __future__ import annotations

import copy
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from graftwork.agreement import Agreement
from graftwork.backbone import Backbone
from graftwork.contracts import InputContract, Value
from graftwork.errors import Unreadable, UsageError
from graftwork.progress import track
from graftwork.readers import Raw, Reader
from graftwork.reading import Bad
from graftwork.registry import converter
from graftwork.specs import Modality, load_factory
from graftwork.stages import State

AGREES = 0.999
"""The least cosine between bf16 and fp32 features of the first batch for bf16 to be used."""

MOST_ROWS = 512


class Pipeline:
    """Reads one example and applies the conversions that were agreed on, as far as it needs them."""

    def __init__(self, contract: InputContract, agreement: Agreement, modality: Modality) -> None:
        self.reader: Reader = load_factory(modality.reader)()
        self._contract = contract
        self._steps: dict[tuple[str, Value], tuple[Callable[..., Any], Value]] = {}
        for step in agreement.steps:
            convert = load_factory(converter(modality.name, step.converter).factory)
            self._steps[step.fact, step.seen] = (convert, step.to)

    def __call__(self, raw: Raw) -> Any:
        """The value that `prepare` takes. Raises `Unreadable`, also for one that changed since it was agreed on."""
        facts: Mapping[str, Value] = self.reader.facts(raw)
        value = self.reader.decode(raw)
        for fact, wanted in self._contract.facts.items():
            if wanted.allows(facts[fact]):
                continue
            if (fact, facts[fact]) not in self._steps:
                raise Unreadable(f"'{raw.name}' changed while it was used: its {fact} is now {facts[fact]}.")
            convert, to = self._steps[fact, facts[fact]]
            value = convert(value, facts[fact], to)
        return value


@dataclass(frozen=True)
class Features:
    """values `(M, D)` float32 for the examples at `kept`; `bad` are those that could not be decoded.

    precision: "bf16" or "fp32", what was computed in; cosine: the least one between both on the first batch, where
    bf16 was tried.
    """

    values: Tensor
    kept: list[int]
    bad: list[Bad]
    precision: str
    cosine: float | None = None


def extract(
    backbone: Backbone,
    read: Callable[[Raw], Any],
    raws: Sequence[Raw],
    *,
    tap: int,
    size: Callable[[Raw], int],
    precision: str = "auto",
    device: torch.device | str = "cpu",
) -> Features:
    """Pooled features after stage `tap`.

    precision: "fp32", "bf16" (if its features agree), or "auto" (bf16 where the machine is fast at it).
    The backbone is left as it was; bf16 runs on a copy.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise UsageError(f"--precision {precision} is not known; auto, fp32 and bf16 are.", "Write: --precision auto")
    layout = torch.channels_last if backbone.channels_last else torch.preserve_format
    runner = backbone.to(device)
    runner.to(memory_format=layout)  # pyright: ignore[reportCallIssue]  torch's stubs want a device too
    used, cosine = "fp32", None
    chunks: list[Tensor] = []
    order: list[int] = []
    bad: list[Bad] = []

    def load(batch: Sequence[int]) -> tuple[list[int], State | None, list[Bad]]:
        ready, values, failed = [], [], []
        for index in batch:
            try:
                values.append(read(raws[index]))
                ready.append(index)
            except Unreadable as error:
                failed.append(Bad(raws[index].name, str(error)))
        return ready, (backbone.prepare(values) if values else None), failed

    batches = _batches([size(raw) for raw in raws], backbone.batch_size)
    with torch.inference_mode(), ThreadPoolExecutor(max_workers=_workers()) as pool:
        first = True
        progress = track(_ahead(pool, load, batches), "Extracting features", len(batches))
        for ready, state, failed in progress:
            bad += failed
            if state is None:
                continue
            state = State(state.hidden.to(device, memory_format=layout), state.mask).to(device)
            if first and (precision == "bf16" or (precision == "auto" and fast_bf16(device))):
                reduced = copy.deepcopy(backbone).to(torch.bfloat16)
                exact = runner.features(state, tap)
                cosine = _least_cosine(exact, reduced.features(state.to(dtype=torch.bfloat16), tap))
                if cosine >= AGREES:
                    runner, used = reduced, "bf16"
            first = False
            dtype = torch.bfloat16 if used == "bf16" else torch.float32
            chunks.append(runner.features(state.to(dtype=dtype), tap).float().cpu())
            order += ready
    values = torch.cat(chunks) if chunks else torch.empty(0, backbone.feature_dim(tap))
    back = sorted(range(len(order)), key=order.__getitem__)
    # Outside inference mode, so that a head can be trained on them.
    return Features(values[back].clone(), [order[i] for i in back], bad, used, cosine)


def fast_bf16(device: torch.device | str) -> bool:
    """Whether the device multiplies bf16 matrices faster than fp32 ones (AMX or AVX-512 BF16 on a processor)."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    supported = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return torch.backends.mkldnn.is_available() and any(check() for check in supported if check)


def _least_cosine(exact: Tensor, other: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(exact.double(), other.double(), dim=-1).min())


def _batches(sizes: Sequence[int], budget: int) -> list[list[int]]:
    """Indices, the largest example first, cut so that the padded size of a batch stays within `budget`."""
    order = sorted(range(len(sizes)), key=lambda i: (-sizes[i], i))
    batches: list[list[int]] = []
    for index in order:
        rows = len(batches[-1]) if batches else 0
        if rows and rows < MOST_ROWS and (rows + 1) * sizes[batches[-1][0]] <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def _workers() -> int:
    return max(2, min(8, os.cpu_count() or 1))


T = TypeVar("T")
R = TypeVar("R")


def _ahead(pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Results in order, with no more than a few computed ahead of the one in use."""
    waiting: deque[Future[R]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > _workers():
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
