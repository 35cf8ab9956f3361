"""Which engine and precision run an encoder: what was asked, or what a measurement of this machine says."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from graftwork.errors import UsageError
from graftwork.models import measurements
from graftwork.models.engines.engine import FrozenEncoder
from graftwork.models.engines.runner import (
    REFERENCE,
    Choice,
    Runner,
    first_line,
    installed,
    int8_engine,
    least,
    rows_of,
    shorter,
)
from graftwork.models.precision import MARGIN, fast_bf16, may_bf16, usual_precision
from graftwork.models.stages import State
from graftwork.plugins import registry
from graftwork.runtime import cpu
from graftwork.specs.factories import require

WORTH = 0.0002
"""Seconds that torch takes for an example from which on another engine is tried: to load one takes about a second,
which it must win back on some thousand examples."""

TIMED = 0.15
"""Seconds of torch in fp32 that a batch is to take which is timed, about."""

ROUNDS = 3


def usual_engine() -> str:
    """What "auto" means by GRAFTWORK_ENGINE; "auto" itself if nothing is said."""
    return os.environ.get("GRAFTWORK_ENGINE", "") or "auto"


def check_engine(asked: Choice, device: torch.device, *, compiled: bool = False) -> None:
    """Raises `UnknownName` for an engine that nobody brings, and `UsageError` for one that is not installed, or cannot
    do what is asked: the precision, the device, torch.compile.
    """
    name, precision = asked
    if precision == "int8":
        name = int8_engine(name)
        if "int8" not in cpu.capabilities():
            raise UsageError(
                f"--precision int8 is slow here: {cpu.processor()[0] or 'this processor'} has no instructions "
                f"for it ({', '.join(cpu.CAPABILITIES['int8'][:3])}).",
                "Leave it out: --precision auto takes what is fast here.",
            )
    if compiled and (name not in ("auto", "torch") or precision == "int8"):
        raise UsageError("--compile is torch.compile, for the engine torch alone.", "Leave out one of them.")
    if name == "auto":
        return
    spec = registry.engine(name)
    require(spec.needs, f"--engine {name}", spec.extra)
    if device.type not in spec.devices:
        raise UsageError(
            f"The engine '{name}' runs on {', '.join(spec.devices)}; the device is {device.type}.",
            f"Write: --device {spec.devices[0]}, or leave out --engine",
        )
    if precision not in ("auto", *spec.precisions):
        raise UsageError(
            f"The engine '{name}' computes in {', '.join(spec.precisions)}, not in {precision}.",
            "Write: --precision auto",
        )


def choices(
    asked: Choice, device: torch.device, weights: str, measure: Callable[[list[Choice]], dict[str, Any] | None]
) -> list[Choice]:
    """The choices to try in turn, the first that agrees to be used; the last of them is torch in fp32.

    weights: the digest of the encoder's; empty if it is not known, as of one that was trained, which torch runs.
    measure: times candidates, see `measured`; None if there is no example.
    """
    engine = asked.engine if asked.engine != "auto" else usual_engine()
    precision = asked.precision if asked.precision != "auto" else usual_precision()
    if precision == "int8":
        return [Choice(int8_engine(asked.engine), precision), REFERENCE]
    if device.type != "cpu" or not weights:
        half = precision == "bf16" or (precision == "auto" and fast_bf16(device))
        return [Choice("torch", "bf16"), REFERENCE] if half else [REFERENCE]
    if "auto" not in (engine, precision):
        return list(dict.fromkeys((Choice(engine, precision), REFERENCE)))
    candidates = _candidates(engine, precision, device)
    if len(candidates) == 1:
        return list(dict.fromkeys((*candidates, REFERENCE)))
    name = f"{engine} {precision} {weights}"
    found = measurements.remembered(name)
    if found is None:
        made_now = measure(candidates)
        if made_now is None:
            return [REFERENCE]
        found = measurements.measured_once(name, lambda: made_now)
    return ordered(found, candidates)


def _candidates(engine: str, precision: str, device: torch.device) -> list[Choice]:
    """What may be chosen, the simplest first."""
    specs = [registry.engine(engine)] if engine != "auto" else [s for s in registry.engines() if installed(s)]
    capable = {"fp32", *cpu.capabilities()}
    return [
        Choice(spec.name, one)
        for spec in specs
        for one in ("fp32", "bf16")
        if device.type in spec.devices
        and one in spec.precisions
        and precision in ("auto", one)
        and (precision == one or (may_bf16(device) if (spec.name, one) == ("torch", "bf16") else one in capable))
    ]


def ordered(measured: dict[str, Any], candidates: Sequence[Choice]) -> list[Choice]:
    """The choices by a measurement: the fastest, unless something simpler is nearly as fast, then what else is faster
    than torch in fp32."""
    seconds = {one: measured["seconds"][str(one)] for one in candidates if str(one) in measured["seconds"]}
    if not seconds:
        return [REFERENCE]
    best = next(iter(seconds))
    for one in seconds:
        if seconds[one] * MARGIN < seconds[best]:
            best = one
    bound = seconds.get(REFERENCE, float("inf"))
    others = sorted((one for one in seconds if seconds[one] * MARGIN < bound), key=lambda one: seconds[one])
    return list(dict.fromkeys((best, *([] if best == REFERENCE else others), REFERENCE)))


def measured(
    frozen: FrozenEncoder, state: State, candidates: Sequence[Choice], weights: str, *, forced: bool
) -> dict[str, Any]:  # fmt: skip
    """Seconds that an example takes in torch in fp32 and in each of the candidates that agree with it, their least
    cosines, and why others failed: `{"encoder", "seconds", "cosines", "failed"}`.

    frozen: with all stages as taps. state: a first batch; as many of its rows are timed as take torch a moment. forced:
    try other engines also for an encoder that is too small for them.
    """
    exact = Runner(REFERENCE, frozen)
    some = rows_of(state, 1)
    exact(some)
    each = _seconds(exact, some)
    some = rows_of(state, max(1, int(TIMED / each)))
    length = state.hidden.shape[1]
    if each > TIMED and exact.reference.expected(some).free > 1:  # part of one long example is enough
        some = shorter(some, max(length // 8, int(length * TIMED / each)))
    runners, cosines, failed = {str(REFERENCE): exact}, {}, {}
    for one in candidates:
        if one == REFERENCE or (one.engine != "torch" and each < WORTH and not forced):
            continue
        try:
            runner = Runner(one, frozen.kept_by(one.engine, weights), reference=exact.reference)
            cosines[str(one)] = runner.agreement(some)
            if cosines[str(one)] >= least(one):
                runners[str(one)] = runner
        except Exception as error:  # engines raise anything
            failed[str(one)] = first_line(error)
    rounds = [{name: _seconds(run, some) for name, run in runners.items()} for _ in range(ROUNDS)]
    seconds = {name: min(one[name] for one in rounds) / len(some.hidden) for name in runners}
    return {"encoder": frozen.backbone.spec.name, "seconds": seconds, "cosines": cosines, "failed": failed}


def _seconds(run: Runner, state: State) -> float:
    begun = time.perf_counter()
    run(state)
    return time.perf_counter() - begun
