"""Running the frozen part once over every example: read, convert, prepare, fold, pool.

Examples of like size share a batch, so little padding is computed; reading goes on beside computing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from graftwork.agreement import Agreement
from graftwork.backbone import Backbone
from graftwork.contracts import InputContract, Value, show
from graftwork.errors import Unreadable, UsageError
from graftwork.parallel import ahead
from graftwork.progress import track
from graftwork.readers import Raw, Reader, Window
from graftwork.reading import Bad
from graftwork.registry import adapter, converter
from graftwork.registry import modality as find_modality
from graftwork.specs import Modality, load_factory
from graftwork.stages import State

AGREES = 0.999
"""The least cosine between bf16 and fp32 features of the first batch for bf16 to be used."""

MOST_ROWS = 512


class Pipeline:
    """Reads one example and applies the conversions that were agreed on, as far as it needs them."""

    def __init__(self, contract: InputContract, agreement: Agreement, modality: Modality) -> None:
        self.reader: Reader = load_factory(modality.reader)()
        self._adapter: Callable[[Any], Any] | None = None
        self._after: Pipeline | None = None
        if agreement.adapter and agreement.then is not None:
            chosen = adapter(agreement.adapter)
            self._adapter = load_factory(chosen.factory)
            self._after = Pipeline(contract, agreement.then, find_modality(chosen.target))
            contract = chosen.contract
        # In the order that the modality declares, which no contract and no plugin can change.
        order = {fact.name: place for place, fact in enumerate(modality.facts)}
        demanded = [(fact, wanted) for fact, wanted in contract.facts.items() if wanted.demands]
        self._facts = sorted(demanded, key=lambda item: order.get(item[0], len(order)))
        self._left_out = {(item.fact, item.seen): item for item in agreement.left_out}
        self._steps: dict[tuple[str, Value], tuple[Callable[..., Any], Value, bool]] = {}
        for key, step in agreement.conversions.items():
            spec = converter(modality.name, step.converter)
            self._steps[key] = (load_factory(spec.factory), step.to, spec.splits)

    def __call__(self, raw: Raw) -> list[Window]:
        """The values that `prepare` takes: one, or the windows of one that is too long to be read at once.

        Raises `Unreadable`, also for an example that was agreed to be left out or changed since.
        """
        facts, value = self.reader.read(raw)
        windows = [Window(value, 1.0)]
        for fact, wanted in self._facts:
            seen = facts[fact]
            if wanted.allows(seen):
                continue
            if (fact, seen) in self._left_out:
                raise Unreadable(replace(self._left_out[fact, seen], example=self.reader.show(raw)).sentence)
            if (fact, seen) not in self._steps:
                raise Unreadable(f"'{self.reader.show(raw)}' changed while it was used: its {fact} is now {seen}.")
            convert, to, splits = self._steps[fact, seen]
            made = [(convert(window.value, seen, to), window.share) for window in windows]
            if splits:
                windows = [Window(part.value, part.share * share) for parts, share in made for part in parts]
            else:
                windows = [Window(value, share) for value, share in made]
        if self._adapter is None or self._after is None:
            return windows
        adapted = [(self._after(Raw(raw.name, value=self._adapter(w.value))), w.share) for w in windows]
        return [Window(part.value, part.share * share) for parts, share in adapted for part in parts]


@dataclass(frozen=True)
class Long:
    """What became of the examples that are too long for the encoder: cut ("truncate") or read in windows ("windows").

    examples: how many they are; windows: in how many parts they were read; unread: the mean part of them that was not.
    """

    mode: str
    examples: int = 0
    windows: int = 0
    unread: float = 0.0

    def warnings(self, total: int, items: str) -> tuple[str, ...]:
        if not self.examples:
            return ()
        which = f"{show(self.examples)} of {show(total)} {items}: longer than the encoder reads at once, so "
        if self.mode == "truncate":
            return (f"{which}cut; {self.unread:.0%} of their length is not read. Read all of it: --long windows",)
        return (f"{which}read in {show(self.windows)} windows whose features are averaged",)


@dataclass(frozen=True)
class Features:
    """values `(M, D)` float32 for the examples at `kept`; `bad` are the others, by index.

    precision: "bf16" or "fp32", what was computed in; cosine: the least one between both on the first batch, where
    bf16 was tried.
    """

    values: Tensor
    kept: list[int]
    bad: list[tuple[int, Bad]]
    precision: str
    cosine: float | None
    long: Long


@dataclass(frozen=True)
class _Batch:
    """A batch that was read: for each example its index, how much of it is unread, and its number of windows; and for
    each prepared state the examples (by their place in the batch) that its rows belong to, with their weights."""

    ready: list[int]
    unread: list[float]
    windows: list[int]
    states: list[tuple[State, list[int], list[float]]]
    bad: list[tuple[int, Bad]]


def extract(
    backbone: Backbone,
    read: Callable[[Raw], list[Window]],
    raws: Sequence[Raw],
    *,
    tap: int,
    size: Callable[[Raw], int],
    precision: str = "auto",
    device: torch.device | str = "cpu",
    long: str = "truncate",
) -> Features:
    """Pooled features after stage `tap`.

    precision: "fp32", "bf16" (if its features agree), or "auto" (bf16 where the machine is fast at it).
    long: "truncate" reads the first window of an example that has several, "windows" all, and takes the mean of their
    features, each weighted by its share. The backbone is left as it was; bf16 runs on a copy.
    """
    check_options(precision, long)
    layout = torch.channels_last if backbone.channels_last else torch.preserve_format
    runner = backbone.to(device)
    runner.to(memory_format=layout)  # pyright: ignore[reportCallIssue]  torch's stubs want a device too
    used, cosine = "fp32", None
    chunks: list[Tensor] = []
    order: list[int] = []
    bad: list[tuple[int, Bad]] = []
    cut, windows, unread = 0, 0, 0.0
    sizes = [size(raw) for raw in raws]

    def load(batch: Sequence[int]) -> _Batch:
        found = _Batch([], [], [], [], [])
        rows: list[tuple[int, Window, float]] = []
        for index in batch:
            try:
                parts, left = _parts(backbone, read(raws[index]), long)
            except Unreadable as error:
                found.bad.append((index, Bad(raws[index].name, str(error))))
                continue
            place = len(found.ready)
            found.ready.append(index)
            found.unread.append(left)
            found.windows.append(len(parts))
            rows += [(place, part, sizes[index] * part.share) for part in parts]
        # Windows of one long example may be more than a batch holds.
        for group in _batches([part_size for _, _, part_size in rows], backbone.batch_size):
            state = backbone.prepare([rows[row][1].value for row in group])
            weights = [rows[row][1].share / (1 - found.unread[rows[row][0]]) for row in group]
            found.states.append((state, [rows[row][0] for row in group], weights))
        return found

    batches = _batches(sizes, backbone.batch_size)
    with torch.inference_mode():
        first = True
        for batch in track(ahead(load, batches), "Extracting features", len(batches)):
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
            long_ones = [place for place, left in enumerate(batch.unread) if left > 0 or batch.windows[place] > 1]
            cut += len(long_ones)
            windows += sum(batch.windows[place] for place in long_ones)
            unread += sum(batch.unread[place] for place in long_ones)
    values = torch.cat(chunks) if chunks else torch.empty(0, backbone.feature_dim(tap))
    back = sorted(range(len(order)), key=order.__getitem__)
    about = Long(long, cut, windows, round(unread / cut, 4) if cut else 0.0)
    # Outside inference mode, so that a head can be trained on them.
    return Features(values[back].clone(), [order[i] for i in back], bad, used, cosine, about)


def check_options(precision: str, long: str) -> None:
    """Raises `UsageError` for a precision or a way with long examples that `extract` does not know."""
    if precision not in ("auto", "fp32", "bf16"):
        raise UsageError(f"--precision {precision} is not known; auto, fp32 and bf16 are.", "Write: --precision auto")
    if long not in ("truncate", "windows"):
        raise UsageError(f"--long {long} is not known; truncate and windows are.", "Write: --long windows")


def _parts(backbone: Backbone, windows: list[Window], long: str) -> tuple[list[Window], float]:
    """The windows of an example that are read, and how much of it is not."""
    if long == "truncate":
        # What the encoder itself can cut stays whole: `prepare` cuts it as the encoder's own library does.
        first = windows[0]
        share = first.share * backbone.windows(first.value)[0].share
        return [Window(first.value, share)], 1 - share
    inner = [(backbone.windows(window.value), window.share) for window in windows]
    return [Window(part.value, part.share * share) for parts, share in inner for part in parts], 0.0


def fast_bf16(device: torch.device | str) -> bool:
    """Whether the device multiplies bf16 matrices faster than fp32 ones (AMX or AVX-512 BF16 on a processor)."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    supported = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return torch.backends.mkldnn.is_available() and any(check() for check in supported if check)


def _least_cosine(exact: Tensor, other: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(exact.double(), other.double(), dim=-1).min())


def _batches(sizes: Sequence[float], budget: int) -> list[list[int]]:
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
