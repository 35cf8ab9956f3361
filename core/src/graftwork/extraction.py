"""Running the frozen part once over every example: read, convert, prepare, fold, pool.

Examples of like size share a batch, so little padding is computed; reading goes on beside computing.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from graftwork import processes
from graftwork.backbone import Backbone
from graftwork.errors import Unreadable, UsageError
from graftwork.examples import Examples, Long, batches
from graftwork.parallel import ahead
from graftwork.progress import track
from graftwork.readers import Window
from graftwork.reading import Bad
from graftwork.stages import State

AGREES = 0.999
"""The least cosine between bf16 and fp32 features of the first batch for bf16 to be used."""


@dataclass(frozen=True)
class Features:
    """values `(M, D)` float32 for the examples at `kept`; `bad` are the others, by index.

    precision: "bf16" or "fp32", what was computed in; cosine: the least one between both on the first batch, where
    bf16 was tried. seen: of each row how many parts of the example were read, and how much of it was not.
    """

    values: Tensor
    kept: list[int]
    bad: list[tuple[int, Bad]]
    precision: str
    cosine: float | None
    long: Long
    seen: list[tuple[int, float]]


@dataclass(frozen=True)
class _Batch:
    """A batch that was read: for each example its number, how many parts of it are read and how much of it is not; and
    for each prepared state the examples (by their place in the batch) that its rows belong to, with their weights."""

    ready: list[int]
    seen: list[tuple[int, float]]
    states: list[tuple[State, list[int], list[float]]]
    bad: list[tuple[int, Bad]]


def extract(
    backbone: Backbone,
    examples: Examples,
    *,
    tap: int,
    precision: str = "auto",
    device: torch.device | str = "cpu",
    numbers: Sequence[int] | None = None,
) -> Features:
    """Pooled features after stage `tap` of the examples with these numbers; of all where it is None.

    precision: "fp32", "bf16" (if its features agree), or "auto" (bf16 where the machine is fast at it).
    The features of the parts of an example are averaged, each weighted by its share. The backbone is left as it was;
    bf16 runs on a copy. Of several processes each computes a part, and all get the whole.
    """
    check_precision(precision)
    layout = torch.channels_last if backbone.channels_last else torch.preserve_format
    runner = backbone.to(device).eval()
    runner.to(memory_format=layout)  # pyright: ignore[reportCallIssue]  torch's stubs want a device too
    used, cosine = "fp32", None
    chunks: list[Tensor] = []
    order: list[int] = []
    seen: list[tuple[int, float]] = []
    bad: list[tuple[int, Bad]] = []
    chosen = list(range(len(examples))) if numbers is None else list(numbers)

    def load(batch: Sequence[int]) -> _Batch:
        found = _Batch([], [], [], [])
        rows: list[tuple[int, Window, float]] = []
        for place in batch:
            number = chosen[place]
            try:
                example = examples.read(number)
            except Unreadable as error:
                found.bad.append((number, Bad(examples.raws[number].name, str(error))))
                continue
            place = len(found.ready)
            found.ready.append(number)
            found.seen.append((len(example.parts), example.unread))
            whole = sum(part.share for part in example.parts)
            rows += [(place, part, part.share / whole) for part in example.parts]
        # Windows of one long example may be more than a batch holds.
        sizes = [examples.sizes[found.ready[place]] * part.share for place, part, _ in rows]
        for group in batches(sizes, backbone.batch_size):
            state = backbone.prepare([rows[row][1].value for row in group])
            found.states.append((state, [rows[row][0] for row in group], [rows[row][2] for row in group]))
        return found

    planned = batches([examples.sizes[number] for number in chosen], backbone.batch_size)
    planned = processes.part(planned)
    with torch.inference_mode():
        first = True
        for batch in track(ahead(load, planned), "Extracting features", len(planned)):
            bad += batch.bad
            total = torch.zeros(len(batch.ready), backbone.feature_dim(tap))
            for state, places, weights in batch.states:
                state = State(state.hidden.to(device, memory_format=layout), state.mask).to(device)
                if first and (precision == "bf16" or (precision == "auto" and fast_bf16(device))):
                    reduced = copy.deepcopy(backbone).to(torch.bfloat16)
                    exact = runner.features(state, tap)
                    cosine = _least_cosine(exact, reduced.features(state.to(dtype=torch.bfloat16), tap))
                    if cosine >= AGREES:
                        runner, used = reduced, "bf16"
                first = False
                dtype = torch.bfloat16 if used == "bf16" else torch.float32
                features = runner.features(state.to(dtype=dtype), tap).float().cpu()
                total.index_add_(0, torch.tensor(places), features * torch.tensor(weights)[:, None])
            chunks.append(total)
            order += batch.ready
            seen += batch.seen
    values = torch.cat(chunks) if chunks else torch.empty(0, backbone.feature_dim(tap))
    together = processes.gather((values.numpy(), order, seen, bad))
    values = torch.cat([torch.from_numpy(found) for found, _, _, _ in together])
    order = [number for _, found, _, _ in together for number in found]
    seen = [item for _, _, found, _ in together for item in found]
    bad = [item for _, _, _, found in together for item in found]
    back = sorted(range(len(order)), key=order.__getitem__)
    about = Long.of(examples.long, seen)
    # Outside inference mode, so that a head can be trained on them.
    bad.sort(key=lambda item: item[0])
    seen = [seen[i] for i in back]
    return Features(values[back].clone(), [order[i] for i in back], bad, used, cosine, about, seen)


def check_precision(precision: str) -> None:
    """Raises `UsageError` for a precision that `extract` does not know."""
    if precision not in ("auto", "fp32", "bf16"):
        raise UsageError(f"--precision {precision} is not known; auto, fp32 and bf16 are.", "Write: --precision auto")


def fast_bf16(device: torch.device | str) -> bool:
    """Whether the device multiplies bf16 matrices faster than fp32 ones (AMX or AVX-512 BF16 on a processor)."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    supported = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return torch.backends.mkldnn.is_available() and any(check() for check in supported if check)


def _least_cosine(exact: Tensor, other: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(exact.double(), other.double(), dim=-1).min())
