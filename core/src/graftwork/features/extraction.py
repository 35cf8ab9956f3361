"""Running the frozen stages once over every example: read, convert, prepare, fold, pool.

Examples of similar size share a batch, so that there is little padding; reading overlaps with computing. A store gives
features that any process computed before, and keeps new ones: pooled features after every stage that ran.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from graftwork.data.reading import Bad
from graftwork.errors import StoreError, Unreadable
from graftwork.features.dataset import matrix, release
from graftwork.features.examples import Example, Examples, batches
from graftwork.features.leases import compute_missing
from graftwork.features.long_inputs import LongInputs
from graftwork.features.shards import Row, shares_of, stored
from graftwork.features.store import Space, Store
from graftwork.models.backbone import Backbone
from graftwork.models.decoding import batch_decoder
from graftwork.models.machine import fork_safely
from graftwork.models.precision import AGREES, check_precision, fast_bf16, least_cosine, rounding
from graftwork.models.stages import Stage, State
from graftwork.models.transfer import Fetched, Forked, beside, can_fork, pieces, pinned
from graftwork.plugins.code_digest import made_by
from graftwork.runtime import processes
from graftwork.runtime.parallel import prefetch_map
from graftwork.runtime.progress import track
from graftwork.specs.defects import DefectCount
from graftwork.specs.readers import Window

ON_GPU = 16
"""How many times larger a batch is on a GPU than on a CPU, where it should fit the caches."""

COMPARED = 16
"""Examples that a decoder is held to the reader by."""

FORKED, FEEDERS = 500, 3
"""Examples from which processes read them for a GPU, and the threads that take their batches over."""

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


@dataclass(frozen=True)
class _Read:
    """A batch as read: its places among the chosen examples, and their window counts (`parts`) and shares of defects.

    states: prepared states, each with the example of every row (its position in `places`) and the row weights; in
    memory that a GPU reads by itself, where there is one.
    """

    places: list[int]
    parts: list[int]
    shares: list[list[float]]
    states: list[tuple[State, list[int], list[float]]]
    bad: list[tuple[int, str]]
    files: Files | None = None


@dataclass(frozen=True)
class Files:
    """Examples to be decoded by a decoder: their places, and their files `content` (all bytes, uint8) of `sizes`."""

    places: list[int]
    content: Tensor
    sizes: list[int]


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

    def pooled(self, batch: _Read, every: bool) -> Tensor:
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
        self.pool: Forked | None = None
        self.notes: list[str] = []
        self.values = matrix(len(chosen), by.backbone.feature_dim(*by.taps))
        self.parts = np.zeros(len(chosen), np.int32)  # 0: not there yet
        self.shares = np.zeros((len(chosen), len(examples.defects)), np.float32)
        self.reasons: dict[int, str] = {}
        self.digests: list[bytes] = []
        self.space: Space | None = None
        self.misses = 0

    def run(self) -> Features:
        if self.by.device.type == "cuda" and len(self.chosen) >= FORKED and can_fork():
            self.pool = Forked(read=self._read, measure=self.examples.measured)
        try:
            return self._run()
        finally:
            if self.pool is not None:
                self.pool.close()

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
        mine = processes.mine(self._groups(todo))
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
        by = self.by
        if by.decode is None or by.decoder_cosine is not None or not self.examples.stored:
            return
        note = by.decoder_note(self.examples)
        known = note.note.get("cosine") if note else None
        cosine = processes.broadcast(self._compare_decoder(todo) if known is None else known)
        if cosine is None:  # nothing that it decodes
            return
        by.settle_decoder(cosine)
        if note and known is None:
            note.remember(cosine=cosine)

    @torch.inference_mode()
    def _compare_decoder(self, todo: list[int]) -> float | None:
        """The least cosine between features of what the decoder and the reader make of the same examples; None if it
        decodes none of them."""
        for group in self._groups(todo):
            files = self._files(group[:COMPARED])
            if files is None:
                continue
            decoded = self._decoded(files, _Read([], [], [], [], []))
            exact = self._read_rest(decoded.places, _Read([], [], [], [], []))
            if decoded.states and exact.states and decoded.places == exact.places:
                rows = min(len(decoded.states[0][1]), len(exact.states[0][1]))
                one, two = (State(read.states[0][0].hidden[:rows]) for read in (exact, decoded))
                return self.by.agreement(one, two)
        return None

    @torch.inference_mode()
    def _compare(self, places: list[int]) -> float | None:
        """The least cosine between both precisions in a batch; None if no example can be read."""
        for group in self._groups(places):
            for state, _, _ in self._made_ready(self._read(group)).states:
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

    def _groups(self, places: Sequence[int]) -> list[list[int]]:
        sizes = self.examples.sizes([self.chosen[place] for place in places], self.pool)
        return [[places[i] for i in group] for group in batches(sizes, self.by.budget)]

    def _compute_shared(self, space: Space, todo: list[int]) -> None:
        """Compute the features that no other live process computes, and take those that others have computed."""
        while todo := [place for place in todo if not self._done(place)]:
            first = {self.digests[place]: place for place in reversed(todo)}
            try:
                compute_missing(space, first, self._groups, self._compute, self._done, self.tap + 1)
                for place in todo:
                    if not self._done(place) and self._done(first[self.digests[place]]):
                        self._copy(first[self.digests[place]], place)
                self._take(space, [place for place in todo if not self._done(place)])
            except StoreError as error:
                self._give_up_store(error)
                groups = self._groups([place for place in todo if not self._done(place)])
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
        waiting: deque[tuple[_Read, Fetched, bool]] = deque()
        for batch in track(self._batches(groups, count), "Extracting features", count):
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

    def _keep(self, batch: _Read, fetched: Fetched, every: bool) -> None:
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

    def _batches(self, groups: Iterable[list[int]], count: int) -> Iterator[_Read]:
        """Batches read and prepared in advance. A GPU is fed by processes, since threads hold the interpreter's lock
        for longer than it computes."""
        if self.pool is not None and count > 1:
            return prefetch_map(self._made_ready, self.pool.map("read", groups), threads=FEEDERS)
        return prefetch_map(lambda places: self._made_ready(self._read(places)), groups)

    def _read(self, places: Sequence[int]) -> _Read:
        """Read and prepare a batch, all but what is done on a device; in a thread or a process of its own."""
        found = _Read([], [], [], [], [])
        files = self._files(places) if self.by.decode is not None and self.examples.stored else None
        if files is not None:
            found = replace(found, files=files)
            taken = set(files.places)
            places = [place for place in places if place not in taken]
        return self._read_rest(places, found)

    def _files(self, places: Sequence[int]) -> Files | None:
        """The files of examples that the decoder takes."""
        assert self.by.decode is not None
        read = [(place, self.examples.file(self.chosen[place], self.by.decode.takes)) for place in places]
        taken = [(place, content) for place, content in read if content is not None]
        if not taken:
            return None
        content = np.frombuffer(b"".join(content for _, content in taken), np.uint8)
        sizes = [len(content) for _, content in taken]
        return Files([place for place, _ in taken], torch.from_numpy(content.copy()), sizes)

    @torch.inference_mode()
    def _made_ready(self, found: _Read) -> _Read:
        """A batch with its files decoded, where a GPU can copy it from."""
        if found.files is not None:
            found = self._decoded(found.files, replace(found, files=None))
        if self.by.device.type != "cuda":
            return found
        states = [(pinned(state), rows, weights) for state, rows, weights in found.states]
        return replace(found, states=states)

    def _read_rest(self, places: Sequence[int], found: _Read) -> _Read:
        """Add examples to a batch as the modality's reader reads them."""
        rows: list[tuple[int, Window, float]] = []
        for place in places:
            number = self.chosen[place]
            try:
                example = self.examples.read(number)
            except Unreadable as error:
                found.bad.append((place, str(error)))
                continue
            owner = len(found.places)
            found.places.append(place)
            found.parts.append(len(example.parts))
            found.shares.append(self.examples.shares(number, example).tolist())
            whole = sum(part.weight for part in example.parts)
            rows += [(owner, part, part.weight / whole) for part in example.parts]
        # The windows of one long example may exceed a batch.
        whole = self.examples.sizes([self.chosen[place] for place in found.places]) if rows else []
        sizes = [whole[owner] * part.weight for owner, part, _ in rows]
        for group in batches(sizes, self.by.budget):
            state = self.by.backbone.prepare([rows[row][1].value for row in group])
            found.states.append((state, [rows[row][0] for row in group], [rows[row][2] for row in group]))
        return found

    def _decoded(self, files: Files, found: _Read) -> _Read:
        """A batch with the files that the decoder decodes, and the others as the reader reads them."""
        assert self.by.decode is not None
        with beside(self.by.device):
            made = self.by.decode(files.content.split(files.sizes))
            # Waits for the device, so that what was made can be used anywhere.
            shares = {name: share.cpu().tolist() for name, share in made.defects.items()}
        first = len(found.places)
        for row, here in enumerate(made.rows):
            example = Example([], {name: share[row] for name, share in shares.items()})
            found.places.append(files.places[here])
            found.parts.append(1)
            found.shares.append(self.examples.shares(self.chosen[files.places[here]], example).tolist())
        if made.rows:
            found.states.append((State(made.hidden), list(range(first, len(found.places))), [1.0] * len(made.rows)))
        left = set(files.places) - set(found.places)
        return self._read_rest([place for place in files.places if place in left], found) if left else found

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
