"""Running the frozen stages once over every example: read, convert, prepare, fold, pool.

Examples of similar size share a batch, so that there is little padding; reading overlaps with computing. A store gives
features that any process computed before, and keeps new ones: pooled features after every stage that ran.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graftwork.data.reading import Bad
from graftwork.errors import PluginFault, StoreError, Unreadable
from graftwork.features import batch_size
from graftwork.features.dataset import matrix, release
from graftwork.features.examples import Examples, batches
from graftwork.features.feeding import Feed, Read
from graftwork.features.held_decoder import HeldDecoder
from graftwork.features.leases import compute_missing
from graftwork.features.long_inputs import LongInputs
from graftwork.features.shards import Row, shares_of, stored
from graftwork.features.store import Space, Store
from graftwork.models.backbone import Backbone
from graftwork.models.engines.choosing import check_engine, choices, measured
from graftwork.models.engines.engine import Calibration, FrozenEncoder
from graftwork.models.engines.folders import identity
from graftwork.models.engines.runner import REFERENCE, Choice, Runner, first_line, least, rows_of
from graftwork.models.machine import fork_safely
from graftwork.models.precision import check_precision, least_cosine, rounding
from graftwork.models.stages import State
from graftwork.models.transfer import Fetched, pieces
from graftwork.runtime import processes
from graftwork.runtime.progress import track
from graftwork.specs.defects import DefectCount

CALIBRATED = 256
"""The most examples that int8 learns its ranges from; NNCF takes 300 by default."""

IN_FLIGHT = 2
"""Batches that a GPU computes before the features of the first are waited for."""

RELEASE = 10_000
"""Examples after which the memory pages of a large feature matrix are given back."""


@dataclass(frozen=True)
class Features:
    """Features `values` `(M, D)` float32 of the examples at `kept`; `bad` are the others, by number.

    engine, precision: what computed them. cosine: the least one to torch in fp32 on a first batch, if they were
    compared. calibration: of int8, the digest of the examples that it learned its ranges from. long: the inputs
    that the encoder cannot read at once. defects: what is lost of them, summed up; shares: the share of each that every
    one of `Examples.defects` affects, `(M, K)` float32.
    hits, misses: the numbers of examples whose features were found in the store, and computed. notes: problems with the
    store.
    """

    values: Tensor
    kept: list[int]
    bad: list[tuple[int, Bad]]
    engine: str
    precision: str
    cosine: float | None
    long: LongInputs
    defects: tuple[DefectCount, ...]
    shares: np.ndarray
    hits: int = 0
    misses: int = 0
    notes: tuple[str, ...] = ()
    calibration: str = ""
    decoder: str = ""


@dataclass(frozen=True)
class Cache:
    """A store, and the digest of the encoder's weights, which is part of the cache key."""

    store: Store
    weights: str


class Extractor:
    """Pooled features after stage `tap` of an encoder, in the same precision for all calls. tap: the number of a stage,
    or of several, whose features are joined.

    precision: "fp32", "bf16", "int8" or "auto"; engine: "auto" or a name. What is "auto" is measured once on this
    machine, and what is not torch in fp32 is used if its features agree: the first computed batch decides. The backbone
    stays unchanged. weights: the digest of its weights, that of the cache if left out; engines other than torch run
    encoders of known weights alone. calibration: the numbers of the examples that int8 learns its ranges from, or the
    digest of those that it did learn from. compile: run the stages through torch.compile, which takes a minute at first
    and rounds differently. decoder: the name of one that decodes files instead of the modality's reader, if the
    features agree; "reader" for none, "auto" for the device's default.

    Raises `UsageError` for another precision, engine or decoder, and `UnknownName`.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        tap: int | Sequence[int],
        precision: str = "auto",
        engine: str = "torch",
        device: torch.device | str = "cpu",
        cache: Cache | None = None,
        weights: str = "",
        calibration: Sequence[int] | str = (),
        compile: bool = False,
        decoder: str = "auto",
    ) -> None:
        check_precision(precision)
        fork_safely()
        self.taps = (tap,) if isinstance(tap, int) else tuple(tap)
        self.backbone, self.tap, self.cache, self.compile = backbone, max(self.taps), cache, compile
        self.weights = weights or (cache.weights if cache else "")
        self.device = torch.device(device)
        self.asked = Choice("torch" if compile and engine == "auto" else engine, precision)
        check_engine(self.asked, self.device, compiled=compile)
        self.budget = backbone.batch_size * batch_size.usual(self.device)
        self.exact = backbone.eval().to(self.device)
        self.smaller = 1
        self.decoder = HeldDecoder(backbone, decoder, self.device)
        self.choice: Choice | None = None
        self.cosine: float | None = None
        self._calibrated = calibration
        self._calibration: Calibration | None = None

    def __call__(self, examples: Examples, numbers: Sequence[int] | None = None) -> Features:
        """The features of the examples with these numbers, sorted by number; of all examples for None.

        The features of an example's windows are averaged by their weights. With several processes each computes a part,
        and all get the whole.
        """
        chosen = list(range(len(examples))) if numbers is None else list(numbers)
        return _Extraction(self, examples, chosen).run()

    def choices(self, first: Callable[[], State | None]) -> list[Choice]:
        """What to try in turn, the last of them torch in fp32. first: gives a batch to measure on, or None."""

        def measure(candidates: Sequence[Choice]) -> dict[str, Any] | None:
            state = first()
            if state is None:
                return None
            frozen = FrozenEncoder(self.exact, tuple(range(len(self.exact.stages()))), self.device)
            with torch.inference_mode():
                return measured(frozen, state, candidates, self.weights, forced=self.asked.engine != "auto")

        return choices(self.asked, self.device, self.weights, measure)

    def runner(self, choice: Choice, examples: Examples) -> Runner:
        """What computes features by a choice, not yet compared with torch in fp32."""
        taps = tuple(sorted(set(self.taps))) if self.cache is None else tuple(range(self.tap + 1))
        frozen = FrozenEncoder(self.exact, taps, self.device, calibration=self.calibration(choice, examples))
        return Runner(choice, frozen.kept_by(choice.engine, self.weights), compiled=self.compile)

    def calibration(self, choice: Choice, examples: Examples) -> Calibration | None:
        """What int8 learns its ranges from; None for another precision."""
        if choice.precision != "int8":
            return None
        if self._calibration is None:
            given = self._calibrated
            self._calibration = Calibration(given) if isinstance(given, str) else _calibration(examples, given, self)
        return self._calibration

    def settle(self, choice: Choice, runner: Runner, cosine: float | None) -> None:
        """Use an engine and precision from now on. cosine: the least one to torch in fp32, if it was compared."""
        self.choice, self._runner, self.cosine = choice, runner, cosine

    def space(self, examples: Examples, choice: Choice) -> Space | None:
        """The space of the store for features of these examples by an engine and precision; None without a store."""
        about: dict[str, Any] = {"precision": choice.precision}
        if choice.engine != "torch":
            about["engine"] = identity(choice.engine)
        if calibration := self.calibration(choice, examples):
            about["calibration"] = calibration.digest
        return self._space("features", examples, about)

    def decoder_space(self, examples: Examples) -> Space | None:
        """Where it is remembered how well features by the decoder agree; None without a store."""
        return self._space("decoder", examples, {})

    def _space(self, kind: str, examples: Examples, about: dict[str, Any]) -> Space | None:
        if self.cache is None:
            return None
        always = {
            "backbone": self.backbone.spec.name,
            "kind": kind,
            "weights": self.cache.weights,
            "rounding": {**rounding(self.device), "compiled": self.compile},
            **(self.decoder.about if examples.stored else {}),
            **examples.about,
        }
        return self.cache.store.space({**always, **about})

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
        rows, taps = len(state.hidden), range(self.tap + 1) if every else self.taps
        places = [self._runner.frozen.taps.index(tap) for tap in taps]
        try:
            parts = [state] if self.smaller == 1 else pieces(state, -(-rows // self.smaller))
            found = [self._runner(part) for part in parts]
            return torch.cat([torch.cat([one[place] for place in places], 1) for one in found])
        except torch.OutOfMemoryError:
            if self.smaller >= rows:
                raise
        torch.cuda.empty_cache()
        self.smaller *= 2
        return self._run(state, every)


def _calibration(examples: Examples, numbers: Sequence[int], by: Extractor) -> Calibration:
    """At most `CALIBRATED` of these examples, evenly spread among them; of long ones the first window."""
    chosen = list(numbers)[:: max(1, -(-len(numbers) // CALIBRATED))]
    digest = hashlib.blake2b(digest_size=16)
    for found in examples.identities(chosen):
        digest.update(found.reason.encode() if isinstance(found, Bad) else found)

    def prepared() -> Iterator[State]:
        for group in batches(examples.sizes(chosen), by.budget):
            values = []
            for place in group:
                with contextlib.suppress(Unreadable):
                    values.append(examples.read(chosen[place]).parts[0].value)
            if values:
                yield by.backbone.prepare(values)

    return Calibration(digest.hexdigest(), prepared)


class _Extraction:
    """One call of an extractor. `places` are positions among the chosen examples; each has a row of `values`."""

    def __init__(self, by: Extractor, examples: Examples, chosen: list[int]) -> None:
        self.by, self.examples, self.chosen = by, examples, chosen
        self.tap = by.tap
        self.feed = Feed(examples, chosen, by.budget, by.device, by.decoder.decode)
        self.notes: list[str] = []
        self.values = matrix(len(chosen), by.backbone.feature_dim(*by.taps))
        self.parts = np.zeros(len(chosen), np.int32)  # 0: not there yet
        self.shares = np.zeros((len(chosen), len(examples.defects)), np.float32)
        self.reasons: dict[int, Bad] = {}
        self.digests: list[bytes] = []
        self.space: Space | None = None
        self.misses = 0

    def run(self) -> Features:
        with self.feed:
            return self._run()

    def _run(self) -> Features:
        everything = list(range(len(self.chosen)))
        todo = everything if self.by.cache is None else self._identified(everything)
        try:
            todo = self._settled(todo)
        except StoreError as error:
            self._give_up_store(error)
            todo = self._settled(todo)
        self._size_batches(todo)
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
        self.reasons = {p: item for p, item in zip(places, identities, strict=True) if isinstance(item, Bad)}
        self.digests = [b"" if isinstance(item, Bad) else item for item in identities]
        return [place for place in places if place not in self.reasons]

    def _settled(self, todo: list[int]) -> list[int]:
        """Decide the engine and precision, and with them the space of the store. Returns the places that are missing
        there."""
        self._settle_decoder(todo)
        by = self.by
        if by.choice is None:
            for choice in processes.broadcast(by.choices(lambda: self._first(list(range(len(self.chosen)))))):
                missing = self._tried(choice, todo)
                if missing is not None:
                    return missing
                self.parts[:] = 0
        assert by.choice is not None, "the last choice is always taken"
        self.space = by.space(self.examples, by.choice)
        return self._take(self.space, todo)

    def _settle_decoder(self, todo: list[int]) -> None:
        """Compare what a decoder makes with what the reader does; once for an encoder, where that can be remembered."""
        decoder = self.by.decoder
        if self.feed.decode is not None and decoder.cosine is None:
            note = self.by.decoder_space(self.examples)
            known = note.note.get("cosine") if note else None
            cosine = processes.broadcast(self._compare_decoder(todo) if known is None else known)
            if cosine is not None:
                decoder.settle(cosine)
                if note and known is None:
                    note.remember(cosine=cosine)
        if decoder.cosine is None or decoder.decode is None:
            self.feed.decode = None

    @torch.inference_mode()
    def _compare_decoder(self, todo: list[int]) -> float | None:
        """The least cosine between features of what the decoder and the reader make of the same examples; None if it
        takes none of them."""
        states = self.feed.both_ways(todo)
        if states is None:
            return None
        exact, decoded = (self.by.runner(REFERENCE, self.examples)(state)[-1].cpu() for state in states)
        return least_cosine(exact, decoded)

    def _tried(self, choice: Choice, todo: list[int]) -> list[int] | None:
        """Settle on a choice, and return the places that are missing in its space; None if it does not agree."""
        by, why = self.by, ""
        runner, space, missing, cosine = None, None, todo, None
        try:
            runner, space = by.runner(choice, self.examples), by.space(self.examples, choice)
            missing = self._take(space, todo)
            cosine = space.note.get("cosine") if space else None
            if choice != REFERENCE and missing and (first := self._first(missing)) is not None:
                with torch.inference_mode():
                    cosine = runner.agreement(rows_of(first, -(-len(first.hidden) // batch_size.usual(by.device))))
        except Exception as error:  # engines raise anything
            if choice == REFERENCE or isinstance(error, StoreError):
                raise
            why, cosine = first_line(error), None
        # With nothing missing, it was accepted before. All processes follow the first.
        agrees = not why and (choice == REFERENCE or not missing or (cosine or 0.0) >= least(choice))
        cosine, agrees = processes.broadcast((cosine, agrees))
        if not agrees:
            by.cosine = cosine
            self._refused(choice, why or f"its features agree with torch's by a cosine of {cosine or 0:.4f} only")
            return None
        assert runner is not None
        by.settle(choice, runner, by.cosine if choice == REFERENCE else cosine)
        self.space = space
        if choice != REFERENCE and space and missing and cosine is not None:
            space.remember(cosine=min(cosine, space.note.get("cosine", 1.0)))
        return missing

    def _size_batches(self, todo: list[int]) -> None:
        """Compute in the size of batches that is fastest here, where that is known or worth trying."""
        by = self.by
        if by.choice is None or not by.weights or not todo or processes.count() > 1:
            return

        def read(times: int) -> State | None:
            self.feed.budget = by.backbone.batch_size * times
            groups = self.feed.groups(todo)
            made = self.feed(groups[len(groups) // 2]).states
            return made[0][0] if made else None

        about = {"backbone": by.backbone.spec.name, "computed_by": str(by.choice), "weights": by.weights}
        with torch.inference_mode():
            times = batch_size.chosen(about, by.device, len(todo), read, by._runner)
        self.feed.budget = by.budget = by.backbone.batch_size * times

    def _refused(self, choice: Choice, why: str) -> None:
        """Note why something that was asked for is not used."""
        engine, precision = self.by.asked
        asked = [f"--engine {engine}"] if engine not in ("auto", "torch") else []
        asked += [f"--precision {precision}"] if precision == "int8" else []
        if asked:
            self.notes.append(f"{' '.join(asked)} is not used, but torch in fp32: {why}.")

    @torch.inference_mode()
    def _first(self, places: list[int]) -> State | None:
        """The first batch that can be read."""
        for group in self.feed.groups(places):
            for state, _, _ in self.feed(group).states:
                return state
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
            if where is None or where.segments <= self.tap:
                missing.append(place)
                continue
            stored = space.read(self.digests[place], where, self.by.taps)
            if stored is None:
                missing.append(place)
                damaged.append(self.digests[place])
                continue
            values[place] = np.frombuffer(b"".join(stored), np.float32)
            self.parts[place], self.shares[place] = where.parts, shares_of(where.defects)
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
        if pooled.shape[1:] != (sum(widths) if every else self.by.backbone.feature_dim(*self.by.taps),):
            raise self._misshapen(pooled)
        by_stage = pooled.split(widths, 1) if every else [pooled]
        batch, pooled, by_stage = self._finite(batch, pooled, by_stage)
        if not batch.places:
            return
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

    def _misshapen(self, pooled: Tensor) -> PluginFault:
        spec = self.by.backbone.spec
        return PluginFault(
            f"Backbone '{spec.name}' pools to features of the shape {tuple(pooled.shape)}, where its build function "
            f"promises {self.by.backbone.dims} after its stages.",
            "Mend 'pool', or the sizes that 'build' gives.",
            factory=spec.factory,
        )

    def _finite(self, batch: Read, pooled: Tensor, by_stage: Sequence[Tensor]) -> tuple[Read, Tensor, Sequence[Tensor]]:
        """A batch without the examples whose features are not finite, which no head could answer."""
        if bool(pooled.sum().isfinite()) or bool(pooled.isfinite().all()):
            return batch, pooled, by_stage
        sound = pooled.isfinite().all(1)
        kept = sound.nonzero()[:, 0].tolist()
        lost = [place for place, good in zip(batch.places, sound.tolist(), strict=True) if not good]
        choice = self.by.choice or REFERENCE
        for place in lost:
            number = self.chosen[place]
            why = f"'{self.examples.name(number)}' has features that are not finite, by {choice}."
            self.reasons[place] = Bad(self.examples.raws[number].name, why)
        if self.space is not None:
            self.space.release([self.digests[place] for place in lost])
        some = replace(
            batch,
            places=[batch.places[row] for row in kept],
            parts=[batch.parts[row] for row in kept],
            shares=[batch.shares[row] for row in kept],
        )
        return some, pooled[sound], [stage[sound] for stage in by_stage]

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
        examples, chosen, choice = self.examples, self.chosen, self.by.choice or REFERENCE
        calibration = self.by.calibration(choice, examples)
        bad = [(chosen[p], replace(self.reasons[p], name=examples.raws[chosen[p]].name)) for p in sorted(self.reasons)]
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
            engine=choice.engine,
            precision=choice.precision,
            cosine=self.by.cosine,
            long=examples.long_inputs(self.parts[places].tolist(), shares),
            defects=examples.count_defects(kept, shares),
            shares=shares,
            hits=len(places) - self.misses,
            misses=self.misses,
            notes=tuple(self.notes),
            calibration=calibration.digest if calibration else "",
            decoder=self.by.decoder.name if self.feed.decode is not None else "",
        )
