"""Running the frozen stages once over every example: read, convert, prepare, fold, pool.

Examples of similar size share a batch, so that there is little padding; reading overlaps with computing. A store gives
features that any process computed before, and keeps new ones: pooled features after every stage that ran.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from graftwork.data.reading import Bad
from graftwork.errors import StoreError
from graftwork.features.dataset import matrix, release
from graftwork.features.examples import Examples
from graftwork.features.feeding import Feed, Read
from graftwork.features.leases import compute_missing
from graftwork.features.long_inputs import LongInputs
from graftwork.features.shards import Row, shares_of, stored
from graftwork.features.store import Space, Store
from graftwork.models.backbone import Backbone
from graftwork.models.decoding import batch_decoder
from graftwork.models.machine import fork_safely
from graftwork.models.precision import AGREES, check_precision, fast_bf16, least_cosine, rounding
from graftwork.models.stages import Stage, State
from graftwork.models.transfer import Fetched, pieces
from graftwork.plugins.code_digest import made_by
from graftwork.runtime import processes
from graftwork.runtime.progress import track
from graftwork.specs.defects import DefectCount

ON_GPU = 16
"""How many times larger a batch is on a GPU than on a CPU, where it should fit the caches."""

IN_FLIGHT = 2
"""Batches that a GPU computes before the features of the first are waited for."""

RELEASE = 10_000
"""Examples after which the memory pages of a large feature matrix are given back."""


@dataclass(frozen=True)
class Features:
    """Features `values` `(M, D)` float32 of the examples at `kept`; `bad` are the others, by number.

    precision: "bf16" or "fp32", the one computed in. cosine: the least one between both on a first batch, if bf16 was
    tried. long: the inputs that the encoder cannot read at once. defects: what is lost of them, summed up; shares: the
    share of each that every one of `Examples.defects` affects, `(M, K)` float32.
    hits, misses: the numbers of examples whose features were found in the store, and computed. notes: problems with the
    store.
    """

    values: Tensor
    kept: list[int]
    bad: list[tuple[int, Bad]]
    precision: str
    cosine: float | None
    long: LongInputs
    defects: tuple[DefectCount, ...]
    shares: np.ndarray
    hits: int = 0
    misses: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cache:
    """A store, and the digest of the encoder's weights, which is part of the cache key."""

    store: Store
    weights: str


class Extractor:
    """Pooled features after stage `tap` of an encoder, in the same precision for all calls. tap: the number of a stage,
    or of several, whose features are joined.

    precision: "fp32", "bf16" (if its features agree), or "auto" (bf16 if the machine is fast at it); the first computed
    batch decides. The backbone stays unchanged; bf16 runs on a copy. compile: run the stages through torch.compile,
    which takes a minute at first and rounds differently. decoder: the name of one that decodes files instead of the
    modality's reader, if the features agree; "reader" for none, "auto" for the device's default.

    Raises `UsageError` for another precision, or a decoder of other devices; `UnknownName`.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        tap: int | Sequence[int],
        precision: str = "auto",
        device: torch.device | str = "cpu",
        cache: Cache | None = None,
        compile: bool = False,
        decoder: str = "auto",
    ) -> None:
        check_precision(precision)
        fork_safely()
        self.taps = (tap,) if isinstance(tap, int) else tuple(tap)
        self.backbone, self.tap, self.cache, self.compile = backbone, max(self.taps), cache, compile
        self.device = torch.device(device)
        self.layout = torch.channels_last if backbone.channels_last else torch.preserve_format
        self.budget = backbone.batch_size * (ON_GPU if self.device.type == "cuda" else 1)
        self.exact = backbone.eval().to(self.device)
        self.smaller = 1
        plain = all(getattr(type(backbone), name) is getattr(Backbone, name) for name in ("prepare", "windows"))
        found = batch_decoder(backbone.spec, decoder, self.device) if plain else ("", None)
        self.decoder, self.decode = found
        self.decoder_cosine: float | None = None
        self.precision: str | None = None
        self.cosine: float | None = None
        if precision == "fp32" or (precision == "auto" and not fast_bf16(self.device)):
            self.settle("fp32", None)

    def __call__(self, examples: Examples, numbers: Sequence[int] | None = None) -> Features:
        """The features of the examples with these numbers, sorted by number; of all examples for None.

        The features of an example's windows are averaged by their weights. With several processes each computes a part,
        and all get the whole.
        """
        chosen = list(range(len(examples))) if numbers is None else list(numbers)
        return _Extraction(self, examples, chosen).run()

    def settle(self, precision: str, cosine: float | None) -> None:
        """Use "fp32" or "bf16" from now on. cosine: the least one between both, if bf16 was tried."""
        self.precision, self.cosine = precision, cosine
        runner = self.exact if precision == "fp32" else copy.deepcopy(self.exact).to(torch.bfloat16)
        stages: Sequence[Stage] = runner.stages()[: self.tap + 1]
        if self.compile:
            stages = [cast(Stage, torch.compile(stage, dynamic=True)) for stage in stages]
        self._runner, self._stages = runner, stages

    def compare(self, state: State) -> float:
        """The least cosine between bf16 and fp32 features of a prepared batch."""
        reduced = copy.deepcopy(self.exact).to(torch.bfloat16)
        stages = self.tap + 1
        exact, other = (list(self._folded(r, r.stages()[:stages], state, False))[-1] for r in (self.exact, reduced))
        return least_cosine(exact.cpu(), other.cpu())

    def agreement(self, state: State, other: State) -> float:
        """The least cosine between exact features of two states of the same examples."""
        stages = self.exact.stages()[: self.tap + 1]
        one, two = (list(self._folded(self.exact, stages, made, False))[-1].cpu() for made in (state, other))
        return least_cosine(one, two)

    def settle_decoder(self, cosine: float) -> None:
        """Use the decoder from now on if its features agree. cosine: the least one with those of the reader's."""
        self.decoder_cosine = cosine
        if cosine < AGREES:
            self.decoder, self.decode = "", None

    def space(self, examples: Examples, precision: str) -> Space | None:
        """The space of the store for features of these examples in a precision; None without a store."""
        if self.cache is None:
            return None
        about = {
            "backbone": self.backbone.spec.name,
            "kind": "features",
            "precision": precision,
            "weights": self.cache.weights,
            "rounding": {**rounding(self.device), "compiled": self.compile},
            **(self.decoding if examples.stored else {}),
            **examples.about,
        }
        return self.cache.store.space(about)

    def decoder_note(self, examples: Examples) -> Space | None:
        """Where it is remembered whether the decoder agrees; None without a store."""
        if self.cache is None:
            return None
        about = {"kind": "decoder", "weights": self.cache.weights, "rounding": {**rounding(self.device)}}
        return self.cache.store.space({**about, **self.decoding, **examples.about})

    @property
    def decoding(self) -> dict[str, Any]:
        """What decodes besides the reader, as JSON values; empty for nothing."""
        if self.decode is None:
            return {}
        return {"decoder": [self.decoder, self.decode.version, made_by(f"{type(self.decode).__module__}:")]}

    def pooled(self, batch: Read, every: bool) -> Tensor:
        """Pooled features `(B, D)` float32 after each of the taps, or after every stage up to the last of them, side by
        side and on the device."""
        made = [self._run(state, every) for state, _, _ in batch.states]
        in_order = list(range(len(batch.places)))
        if len(made) == 1 and batch.states[0][1] == in_order:
            return made[0]
        total = torch.zeros(len(in_order), made[0].shape[1], device=made[0].device)
        for features, (_, example_index, weights) in zip(made, batch.states, strict=True):
            where, weight = torch.tensor(example_index), torch.tensor(weights)[:, None]
            total.index_add_(0, where.to(total.device), features * weight.to(total.device))
        return total

    def _run(self, state: State, every: bool) -> Tensor:
        """In smaller batches once a GPU's memory was too little."""
        rows = len(state.hidden)
        try:
            parts = [state] if self.smaller == 1 else pieces(state, -(-rows // self.smaller))
            return torch.cat([torch.cat(list(self._folded(self._runner, self._stages, p, every)), 1) for p in parts])
        except torch.OutOfMemoryError:
            if self.smaller >= rows:
                raise
        torch.cuda.empty_cache()
        self.smaller *= 2
        return self._run(state, every)

    def _folded(self, runner: Backbone, stages: Sequence[Stage], state: State, every: bool) -> Iterator[Tensor]:
        dtype = torch.float32 if runner is self.exact else torch.bfloat16
        hidden = state.hidden.to(self.device, memory_format=self.layout, non_blocking=True)
        state = State(hidden, state.mask).to(self.device, dtype)
        for number, stage in enumerate(stages):
            state = stage(state)
            if every or number in self.taps:
                yield runner.pool(state).float()


class _Extraction:
    """One call of an extractor. `places` are positions among the chosen examples; each has a row of `values`."""

    def __init__(self, by: Extractor, examples: Examples, chosen: list[int]) -> None:
        self.by, self.examples, self.chosen = by, examples, chosen
        self.tap = by.tap
        self.feed = Feed(examples, chosen, by.budget, by.device, by.decode)
        self.notes: list[str] = []
        self.values = matrix(len(chosen), by.backbone.feature_dim(*by.taps))
        self.parts = np.zeros(len(chosen), np.int32)  # 0: not there yet
        self.shares = np.zeros((len(chosen), len(examples.defects)), np.float32)
        self.reasons: dict[int, str] = {}
        self.digests: list[bytes] = []
        self.space: Space | None = None
        self.misses = 0

    def run(self) -> Features:
        with self.feed:
            return self._run()

    def _run(self) -> Features:
        everything = list(range(len(self.chosen)))
        todo = everything if self.by.cache is None else self._identified(everything)
        self._settle_decoder(todo)
        try:
            todo = self._settled(todo)
        except StoreError as error:
            self._give_up_store(error)
            todo = self._settled(todo)
        found = set(everything) - set(todo) - set(self.reasons)
        todo = self._others_found(todo, found)
        mine = processes.mine(self.feed.groups(todo))
        if self.space is None:
            self._compute(mine, len(mine))
        else:
            self._compute_shared(self.space, [place for group in mine for place in group])
        self._exchange(found)
        return self._features()

    # Features in the store.

    def _identified(self, places: list[int]) -> list[int]:
        identities = self.examples.identities([self.chosen[place] for place in places])
        self.reasons = {p: item.reason for p, item in zip(places, identities, strict=True) if isinstance(item, Bad)}
        self.digests = [b"" if isinstance(item, Bad) else item for item in identities]
        return [place for place in places if place not in self.reasons]

    def _settled(self, todo: list[int]) -> list[int]:
        """Decide the precision, and with it the space of the store. Returns the places that are missing there."""
        by = self.by
        if by.precision is None:
            space = by.space(self.examples, "bf16")
            missing = self._take(space, todo)
            known = space.note.get("cosine") if space else None
            compared = self._compare(missing)
            cosine = known if compared is None else compared
            # With nothing missing, bf16 was accepted before. All processes follow the first.
            cosine, agrees = processes.broadcast((cosine, not missing or (cosine or 0.0) >= AGREES))
            by.settle("bf16" if agrees else "fp32", cosine)
            if agrees:
                self.space = space
                if space and missing and cosine is not None:
                    space.remember(cosine=min(cosine, 1.0 if known is None else known))
                return missing
            self.parts[:] = 0
        assert by.precision is not None
        self.space = by.space(self.examples, by.precision)
        return self._take(self.space, todo)

    def _settle_decoder(self, todo: list[int]) -> None:
        """Compare what a decoder makes with what the reader does; once for an encoder, where that can be remembered."""
        by, note = self.by, None
        if self.feed.decode is not None and by.decoder_cosine is None:
            note = by.decoder_note(self.examples)
            known = note.note.get("cosine") if note else None
            cosine = processes.broadcast(self._compare_decoder(todo) if known is None else known)
            if cosine is not None:
                by.settle_decoder(cosine)
                if note and known is None:
                    note.remember(cosine=cosine)
        if by.decoder_cosine is None or by.decode is None:
            self.feed.decode = None

    @torch.inference_mode()
    def _compare_decoder(self, todo: list[int]) -> float | None:
        """The least cosine between features of what the decoder and the reader make of the same examples; None if it
        takes none of them."""
        states = self.feed.both_ways(todo)
        return None if states is None else self.by.agreement(*states)

    @torch.inference_mode()
    def _compare(self, places: list[int]) -> float | None:
        """The least cosine between both precisions in a batch; None if no example can be read."""
        for group in self.feed.groups(places):
            for state, _, _ in self.feed(group).states:
                return self.by.compare(state)
        return None

    def _take(self, space: Space | None, places: list[int]) -> list[int]:
        """Take the features of these examples from a space. Returns the places that are missing there."""
        if space is None:
            return places
        missing: list[int] = []
        damaged: list[bytes] = []
        found = space.find([self.digests[place] for place in places])
        values = self.values.numpy()
        for place, where in zip(places, found, strict=True):
            if where["shard"] < 0 or where["segments"] <= self.tap:
                missing.append(place)
                continue
            stored = space.read(self.digests[place], where, self.by.taps)
            if stored is None:
                missing.append(place)
                damaged.append(self.digests[place])
                continue
            values[place] = np.frombuffer(b"".join(stored), np.float32)
            self.parts[place], self.shares[place] = where["parts"], shares_of(where["defects"])
        space.forget(damaged)
        return missing

    # Computing the missing features.

    def _compute_shared(self, space: Space, todo: list[int]) -> None:
        """Compute the features that no other live process computes, and take those that others have computed."""
        while todo := [place for place in todo if not self._done(place)]:
            first = {self.digests[place]: place for place in reversed(todo)}
            try:
                compute_missing(space, first, self.feed.groups, self._compute, self._done, self.tap + 1)
                for place in todo:
                    if not self._done(place) and self._done(first[self.digests[place]]):
                        self._copy(first[self.digests[place]], place)
                self._take(space, [place for place in todo if not self._done(place)])
            except StoreError as error:
                self._give_up_store(error)
                groups = self.feed.groups([place for place in todo if not self._done(place)])
                self._compute(groups, len(groups))
                return

    def _done(self, place: int) -> bool:
        return bool(self.parts[place]) or place in self.reasons

    def _give_up_store(self, error: StoreError) -> None:
        """Continue without the store, and release its leases so that no process waits for rows that will not come."""
        if self.by.cache is not None:
            self.by.cache.store.release_all()
        self.by.cache = self.space = None
        self.notes.append(f"{error.message} What was computed since is not kept. {error.hint}")

    def _copy(self, first: int, twin: int) -> None:
        self.values[twin] = self.values[first]
        self.parts[twin], self.shares[twin] = self.parts[first], self.shares[first]
        if first in self.reasons:
            self.reasons[twin] = self.reasons[first]

    @torch.inference_mode()
    def _compute(self, groups: Iterable[list[int]], count: int) -> None:
        """Compute `count` batches of examples and keep their features; with a store, those after every stage."""
        waiting: deque[tuple[Read, Fetched, bool]] = deque()
        for batch in track(self.feed.batches(groups, count), "Extracting features", count):
            for place, reason in batch.bad:
                self.reasons[place] = reason
            if self.space is not None and batch.bad:
                self.space.release([self.digests[place] for place, _ in batch.bad])
            if not batch.places:
                continue
            every = self.space is not None
            waiting.append((batch, Fetched(self.by.pooled(batch, every)), every))
            if len(waiting) > (IN_FLIGHT if self.by.device.type == "cuda" else 0):
                self._keep(*waiting.popleft())
        while waiting:
            self._keep(*waiting.popleft())

    def _keep(self, batch: Read, fetched: Fetched, every: bool) -> None:
        pooled, widths = fetched(), [self.by.backbone.feature_dim(tap) for tap in range(self.tap + 1)]
        by_stage = pooled.split(widths, 1) if every else [pooled]
        self.values[batch.places] = torch.cat([by_stage[tap] for tap in self.by.taps], 1) if every else pooled
        self.misses += len(batch.places)
        self.parts[batch.places], self.shares[batch.places] = batch.parts, batch.shares
        shared = self.shares[batch.places]
        if self.space is not None and every:
            arrays = [stage.numpy() for stage in by_stage]
            rows = [
                Row(self.digests[place], [array[row].tobytes() for array in arrays], parts, stored(shares))
                for row, (place, parts, shares) in enumerate(zip(batch.places, batch.parts, shared, strict=True))
            ]
            self.space.write(rows)
        if self.misses // RELEASE > (self.misses - len(batch.places)) // RELEASE:
            release(self.values)

    # Several processes.

    def _others_found(self, todo: list[int], found: set[int]) -> list[int]:
        """The places that no process has found; each process may have a store of its own."""
        if processes.count() == 1:
            return todo
        anywhere = set().union(*processes.all_gather(found))
        return [place for place in todo if place not in anywhere]

    def _exchange(self, found: set[int]) -> None:
        """Exchange features with the other processes, so that each has those that any computed or found."""
        if processes.count() == 1:
            return
        common = set.intersection(*processes.all_gather(found))
        have = [int(p) for p in np.flatnonzero(self.parts) if p not in common]
        given = (have, self.values[have].numpy(), self.parts[have], self.shares[have], self.reasons)
        for places, values, parts, shares, reasons in processes.all_gather(given):
            self.values[places] = torch.from_numpy(values)
            self.parts[places], self.shares[places] = parts, shares
            self.reasons.update(reasons)
        self.misses = sum(processes.all_gather(self.misses))

    # The end.

    def _features(self) -> Features:
        examples, chosen = self.examples, self.chosen
        bad = [(chosen[p], Bad(examples.raws[chosen[p]].name, self.reasons[p])) for p in sorted(self.reasons)]
        places = [place for place in range(len(chosen)) if place not in self.reasons]
        values = self.values
        if bad:
            values = matrix(len(places), values.shape[1])
            for row, place in enumerate(places):
                values[row] = self.values[place]
        order = sorted(range(len(places)), key=lambda row: chosen[places[row]])
        if order != list(range(len(places))):
            values, places = values[order], [places[row] for row in order]
        release(values)
        kept, shares = [chosen[place] for place in places], self.shares[places]
        return Features(
            values,
            kept=kept,
            bad=sorted(bad, key=lambda item: item[0]),
            precision=self.by.precision or "fp32",
            cosine=self.by.cosine,
            long=examples.long_inputs(self.parts[places].tolist(), shares),
            defects=examples.count_defects(kept, shares),
            shares=shares,
            hits=len(places) - self.misses,
            misses=self.misses,
            notes=tuple(self.notes),
        )
