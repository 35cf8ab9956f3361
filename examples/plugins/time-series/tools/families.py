"""Families of synthetic series for pretraining. Each draws the parameters of a process once; the process then makes as
many series as one likes, in which phases, noise and moments are drawn anew.

There is no rotating machine among them, and nothing here is used by the demo, nor anything of the demo here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

RATE = 100
"""Hz, of all series here."""

Row = npt.NDArray[np.float64]
Process = Callable[[int, np.random.Generator], Row]
"""`process(points, rng)`: another series of the same process."""


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _seconds(points: int) -> Row:
    return np.arange(points) / RATE


def tones(rng: np.random.Generator) -> Process:
    """One to four sines whose frequencies have nothing to do with each other."""
    count = rng.integers(1, 5)
    hertz = [log_uniform(rng, 0.3, 45) for _ in range(count)]
    sizes = rng.uniform(0.2, 1, count)

    def make(points: int, rng: np.random.Generator) -> Row:
        time = _seconds(points)
        return sum(
            (s * np.sin(2 * np.pi * (h * time + rng.uniform())) for h, s in zip(hertz, sizes, strict=True)),
            np.zeros(points),
        )

    return make


def chirp(rng: np.random.Generator) -> Process:
    """A tone that sweeps from one frequency to another, again and again."""
    low, ratio, period = log_uniform(rng, 0.5, 20), rng.uniform(1.3, 4), rng.uniform(0.5, 4)
    high = min(low * ratio, 48)
    falling = rng.random() < 0.5

    def make(points: int, rng: np.random.Generator) -> Row:
        place = (_seconds(points) / period + rng.uniform()) % 1
        hertz = low + (high - low) * (1 - place if falling else place)
        return np.sin(2 * np.pi * (np.cumsum(hertz) / RATE + rng.uniform()))

    return make


def wave(rng: np.random.Generator) -> Process:
    """A sawtooth, triangle or rectangle of some duty."""
    hertz, duty, kind = log_uniform(rng, 0.4, 15), rng.uniform(0.1, 0.9), rng.integers(3)

    def make(points: int, rng: np.random.Generator) -> Row:
        place = (hertz * _seconds(points) + rng.uniform()) % 1
        if kind == 0:
            return np.where(place < duty, 1.0, 0.0)
        if kind == 1:
            return np.where(place < duty, place / duty, (1 - place) / (1 - duty))
        return place if duty < 0.5 else 1 - place

    return make


def autoregressive(rng: np.random.Generator) -> Process:
    """Noise through one or two resonances, AR(2) or AR(4)."""
    coefficients = np.ones(1)
    for _ in range(rng.integers(1, 3)):
        radius, angle = 1 - log_uniform(rng, 0.005, 0.5), 2 * np.pi * log_uniform(rng, 0.5, 48) / RATE
        coefficients = np.convolve(coefficients, [1, -2 * radius * np.cos(angle), radius**2])

    def make(points: int, rng: np.random.Generator) -> Row:
        return lfilter([1], coefficients, rng.standard_normal(points + 400))[400:]

    return make


def coloured(rng: np.random.Generator) -> Process:
    """Noise whose power falls as frequency to some power: from white over pink to a random walk and smoother."""
    slope = rng.uniform(-0.5, 3)

    def make(points: int, rng: np.random.Generator) -> Row:
        spectrum = np.fft.rfft(rng.standard_normal(2 * points))
        spectrum[1:] *= np.arange(1, len(spectrum)) ** (-slope / 2)
        spectrum[0] = 0
        return np.fft.irfft(spectrum)[:points]

    return make


def bursts(rng: np.random.Generator) -> Process:
    """Swells of noise or of a tone at moments of chance."""
    often, lasting = log_uniform(rng, 0.5, 8), log_uniform(rng, 0.03, 0.4)
    hertz = log_uniform(rng, 1, 45) if rng.random() < 0.5 else 0

    def make(points: int, rng: np.random.Generator) -> Row:
        time = _seconds(points)
        moments = rng.uniform(-0.5, time[-1] + 0.5, max(1, rng.poisson(often * (time[-1] + 1))))
        swell = np.exp(-(((time - moments[:, None]) / lasting) ** 2)).sum(0)
        carried = np.sin(2 * np.pi * hertz * time + rng.uniform(0, 6.3)) if hertz else rng.standard_normal(points)
        return swell * carried

    return make


def modulated(rng: np.random.Generator) -> Process:
    """A tone or noise that swells and fades, or a tone that goes up and down."""
    hertz, slow, depth = log_uniform(rng, 2, 40), log_uniform(rng, 0.3, 5), rng.uniform(0.3, 1)
    kind = rng.integers(3)

    def make(points: int, rng: np.random.Generator) -> Row:
        time = _seconds(points)
        swing = np.sin(2 * np.pi * (slow * time + rng.uniform()))
        if kind == 2:
            return np.sin(2 * np.pi * (hertz * time + depth * 2 * swing + rng.uniform()))
        carrier = np.sin(2 * np.pi * (hertz * time + rng.uniform())) if kind else rng.standard_normal(points)
        return (1 + depth * swing) * carrier

    return make


def pulses(rng: np.random.Generator) -> Process:
    """Beats of two or three bumps, at steady or wandering intervals, as a heart has them."""
    hertz, jitter = log_uniform(rng, 0.6, 4), log_uniform(rng, 0.005, 0.3)
    count = rng.integers(2, 4)
    places, widths = rng.uniform(0, 0.6, count), rng.uniform(0.01, 0.06, count)
    sizes = rng.uniform(0.3, 1, count) * rng.choice([-1, 1], count, p=[0.3, 0.7])

    def make(points: int, rng: np.random.Generator) -> Row:
        time = _seconds(points)
        steps = (1 + jitter * rng.standard_normal(int(time[-1] * hertz) + 8)).clip(0.3) / hertz
        beats = np.cumsum(steps) - rng.uniform(1, 2) / hertz
        row = np.zeros(points)
        for place, width, size in zip(places, widths, sizes, strict=True):
            row += size * np.exp(-(((time - beats[:, None] - place / hertz) / (width / hertz**0.5)) ** 2)).sum(0)
        return row

    return make


def seasonal(rng: np.random.Generator) -> Process:
    """A slow season of two waves over a trend that bends."""
    hertz, second, steep = log_uniform(rng, 0.1, 1.5), rng.uniform(0, 1), rng.uniform(-1, 1)
    bends = rng.integers(0, 4)

    def make(points: int, rng: np.random.Generator) -> Row:
        time = _seconds(points)
        phase = hertz * time + rng.uniform()
        knots = np.cumsum(rng.standard_normal(bends + 2) + steep)
        trend = np.interp(time, np.linspace(0, time[-1], bends + 2), knots)
        return np.sin(2 * np.pi * phase) + second * np.sin(4 * np.pi * phase) + trend

    return make


def switching(rng: np.random.Generator) -> Process:
    """Two to four levels, changed at moments of chance."""
    often, levels = log_uniform(rng, 0.5, 15), rng.standard_normal(rng.integers(2, 5))

    def make(points: int, rng: np.random.Generator) -> Row:
        changes = np.cumsum(rng.random(points) < often / RATE)
        return rng.choice(levels, changes[-1] + 1)[changes]

    return make


def chaotic(rng: np.random.Generator) -> Process:
    """The logistic map, each value held for some points and joined by lines or not."""
    growth, held, joined = rng.uniform(3.4, 4), int(rng.integers(1, 12)), rng.random() < 0.5

    def make(points: int, rng: np.random.Generator) -> Row:
        value, values = rng.uniform(0.1, 0.9), []
        for _ in range(points // held + 60):
            value = growth * value * (1 - value)
            values.append(value)
        place = np.arange(points) / held
        return (
            np.interp(place, np.arange(len(values) - 50), values[50:])
            if joined
            else np.array(values[50:])[place.astype(int)]
        )

    return make


FAMILIES = (
    tones, chirp, wave, autoregressive, coloured, bursts, modulated, pulses, seasonal, switching, chaotic,
)  # fmt: skip


def draw(rng: np.random.Generator, families: Sequence[Callable[[np.random.Generator], Process]]) -> Process:
    """A process of one of these families, or the sum of two; clipped or not; in some noise."""
    parts = [families[rng.integers(len(families))](rng) for _ in range(1 if rng.random() < 0.6 else 2)]
    shares = rng.uniform(0.3, 1, len(parts))
    noise = log_uniform(rng, 0.02, 0.8)
    most = rng.uniform(0.8, 2) if rng.random() < 0.15 else np.inf

    def make(points: int, rng: np.random.Generator) -> Row:
        row = np.zeros(points)
        for part, share in zip(parts, shares, strict=True):
            made = part(points, rng)
            row += share * (made - made.mean()) / (made.std() + 1e-6)
        return row.clip(-most, most) + noise * rng.standard_normal(points)

    return make
