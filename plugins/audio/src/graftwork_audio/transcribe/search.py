"""From the probabilities of signs in each frame to the text: CTC (Graves et al. 2006), whose sign 0 stands for none."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graftwork_audio.transcribe.ngram import Ngram

Logs = npt.NDArray[np.float64]
"""The logarithm of the probability of each sign in each frame, `(T, 1 + K)`."""
Signs = tuple[int, ...]

LEAST = math.log(1e-4)
"""Signs less likely in a frame than this are not tried there, unless it is the likeliest."""
SURE, PAUSE, STRETCH = math.log(0.99), 4, 100
"""A pause is this many frames in a row or more that surely say nothing; a clip is searched in stretches of this many
frames or more between pauses, so that the time is linear in its length."""


@dataclass(frozen=True)
class Prior:
    """What is likely before anything is heard. weight: of the logarithms of the n-gram. bonus: added for each sign, to
    make up for what it costs on average."""

    ngram: Ngram
    weight: float
    bonus: float

    def logs(self, before: Sequence[int]) -> list[float]:
        """Of each sign after those, the end (0) too."""
        logs = [self.weight * log for log in self.ngram.logs(before)]
        return [logs[0], *(log + self.bonus for log in logs[1:])]

    def score(self, before: Sequence[int], signs: Sequence[int]) -> float:
        """Of these signs after those."""
        known = [*before, *signs]
        return sum(self.logs(known[:place])[known[place]] for place in range(len(before), len(known)))


def greedy(logs: Logs) -> Signs:
    """The likeliest sign of each frame, equal ones in a row being one."""
    best = logs.argmax(1).tolist() if len(logs) else []
    return tuple(sign for place, sign in enumerate(best) if sign and (not place or best[place - 1] != sign))


def beam(parts: Sequence[Logs], width: int, prior: Prior | None = None) -> list[Signs]:
    """For each of some stretches the signs with the greatest probability among those found by a beam and the greedy
    ones; the prior knows those before."""
    found: list[Signs] = []
    for part in parts:
        before = tuple(sign for signs in found for sign in signs)
        tried = dict.fromkeys((_beam(part, width, prior, before), greedy(part)))
        scores = {
            signs: likelihood(part, signs) + (prior.score(before, signs) if prior is not None else 0.0)
            for signs in tried
        }
        found.append(max(scores, key=scores.__getitem__))
    return found


def _beam(logs: Logs, width: int, prior: Prior | None, before: Signs) -> Signs:
    """The likeliest of the `width` best beginnings that are kept from frame to frame (Hannun et al. 2014,
    arXiv:1408.2873, algorithm 1): paths that give the same signs are added up. before: the signs before the frames."""
    # Of each beginning the paths that end in a blank, those that end in its last sign, and what the prior says.
    kept: list[tuple[Signs, float, float, float]] = [((), 0.0, -math.inf, 0.0)]
    for frame in logs.tolist():
        least = min(LEAST, max(frame))
        tried = [sign for sign, log in enumerate(frame) if sign and log >= least]
        grown: dict[Signs, list[float]] = {}
        for signs, blank, ended, said in kept:
            both, last = _sum(blank, ended), signs[-1] if signs else 0
            entry = grown.setdefault(signs, [-math.inf, -math.inf, said])
            entry[0] = _sum(entry[0], both + frame[0])
            if last:
                entry[1] = _sum(entry[1], ended + frame[last])
            chances = prior.logs(before + signs) if prior is not None and tried else None
            for sign in tried:
                more = said + (chances[sign] if chances is not None else 0.0)
                entry = grown.setdefault((*signs, sign), [-math.inf, -math.inf, more])
                # The same sign again is another one only after a blank.
                entry[1] = _sum(entry[1], (blank if sign == last else both) + frame[sign])
        best = heapq.nlargest(width, ((_sum(one, other) + said, signs) for signs, (one, other, said) in grown.items()))
        kept = [(signs, *grown[signs]) for _, signs in best]  # pyright: ignore[reportAssignmentType]
    return kept[0][0]


def likelihood(logs: Logs, signs: Sequence[int]) -> float:
    """The logarithm of the probability of all paths that give these signs (Graves et al. 2006, section 4.1)."""
    if not len(logs):
        return -math.inf if signs else 0.0
    wanted = np.zeros(2 * len(signs) + 1, np.int64)
    wanted[1::2] = signs
    skips = np.zeros(len(wanted), bool)  # a blank may be left out between two signs that differ
    skips[3::2] = wanted[3::2] != wanted[1:-2:2]
    row = np.full(len(wanted) + 2, -np.inf)
    row[2:4] = logs[0, wanted[:2]]
    for frame in logs[1:]:
        moved = np.logaddexp(row[2:], row[1:-1])
        row[2:] = np.where(skips, np.logaddexp(moved, row[:-2]), moved) + frame[wanted]
    return float(np.logaddexp(row[-1], row[-2]))


def stretches(logs: Logs) -> Iterator[Logs]:
    """The frames in parts, cut in the middle of pauses."""
    begin = quiet = 0
    for place, sure in enumerate((logs[:, 0] > SURE).tolist()):
        quiet = quiet + 1 if sure else 0
        if quiet == PAUSE and place - begin >= STRETCH:
            yield logs[begin : place - PAUSE // 2]
            begin = place - PAUSE // 2
    yield logs[begin:]


def _sum(one: float, other: float) -> float:
    """The logarithm of the sum of two numbers, of their logarithms."""
    if one < other:
        one, other = other, one
    return one if other == -math.inf else one + math.log1p(math.exp(other - one))
