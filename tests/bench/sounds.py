"""Sounds that nobody speaks, made by numpy from a seed: eight kinds, each clip with its own pitch, pace, colour, loudness
and noise behind it. Two kinds (ticks, crackle) differ in their rhythm alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, lfilter

RATE = 16_000
Samples = npt.NDArray[np.float64]
Rng = np.random.Generator


def rain(rng: Rng, count: int) -> Samples:
    """Drops, dense and each of another pitch, over a hiss."""
    made = 0.02 * noise(rng, count)
    for _ in range(rng.poisson(rng.uniform(60, 250) * count / RATE)):
        drop = ring(rng, rng.uniform(1_000, 6_000), rng.uniform(0.002, 0.012))
        put(made, drop * rng.uniform(0.1, 1), rng.integers(count))
    return made


def wind(rng: Rng, count: int) -> Samples:
    """Noise in bands whose loudness wanders."""
    made = np.zeros(count)
    for _ in range(3):
        low = rng.uniform(80, 1_200)
        band = lfilter(*butter(2, [low, low * rng.uniform(1.3, 2.5)], "band", fs=RATE), rng.standard_normal(count))
        made += band * wander(rng, count, rng.uniform(1, 5))
    return made


def engine(rng: Rng, count: int) -> Samples:
    """A train of uneven pulses of a wandering pace, through two resonances."""
    pace = rng.uniform(20, 110) * (1 + 0.3 * (wander(rng, count, 2) - 0.5))
    made = np.diff(np.floor(np.cumsum(pace) / RATE), prepend=0) * rng.uniform(0.6, 1, count)
    made += rng.uniform(0, 0.05) * rng.standard_normal(count)
    return sum(lfilter(*resonance(rng.uniform(100, 2_000), rng.uniform(0.85, 0.98)), made) for _ in range(2))


def bell(rng: Rng, count: int) -> Samples:
    """One to three strokes on a body whose partials are not multiples of each other."""
    base, places = rng.uniform(200, 1_500), np.sort(rng.uniform(1, 6, rng.integers(4, 9)))
    made = np.zeros(count)
    for begin in rng.integers(0, count // 2, rng.integers(1, 4)):
        for place in places[base * places < 7_500]:
            put(made, ring(rng, base * place, rng.uniform(0.1, 0.8) / place) / place, begin)
    return made


def pluck(rng: Rng, count: int) -> Samples:
    """Notes of a string (Karplus and Strong 1983)."""
    made = np.zeros(count)
    for begin in rng.integers(0, int(0.7 * count), rng.integers(1, 6)):
        period = int(RATE / rng.uniform(80, 700))
        loop = np.zeros(period + 2)
        loop[0], loop[-2:] = 1, -0.5 * rng.uniform(0.97, 0.999)
        excited = np.zeros(count)
        excited[:period] = rng.uniform(-1, 1, period)
        put(made, lfilter([1.0], loop, excited), begin)
    return made


def siren(rng: Rng, count: int) -> Samples:
    """A tone with overtones that slides up and down, or up again and again."""
    turns = rng.uniform(0.7, 5) * np.arange(count) / RATE + rng.uniform()
    slide = np.sin(2 * np.pi * turns) if rng.uniform() < 0.5 else 2 * (turns % 1) - 1
    phase = 2 * np.pi * np.cumsum(rng.uniform(300, 2_000) * rng.uniform(1.2, 2) ** slide) / RATE
    return sum(np.sin(number * phase) / number ** rng.uniform(1, 3) for number in (1, 2, 3))


def ticks(rng: Rng, count: int) -> Samples:
    """Clicks of one kind at an even pace."""
    gap = RATE / rng.uniform(4, 18)
    return clicks(rng, count, np.arange(rng.uniform(0, gap), count, gap))


def crackle(rng: Rng, count: int) -> Samples:
    """The same clicks, each when chance has it."""
    return clicks(rng, count, rng.uniform(0, count, max(3, rng.poisson(rng.uniform(4, 18) * count / RATE))))


KINDS: dict[str, Callable[[Rng, int], Samples]] = {
    made.__name__: made for made in (rain, wind, engine, bell, pluck, siren, ticks, crackle)
}


def clicks(rng: Rng, count: int, begins: Samples) -> Samples:
    made = np.zeros(count)
    pitch, seconds = rng.uniform(500, 5_000), rng.uniform(0.002, 0.02)
    for begin in begins:
        put(made, ring(rng, pitch * rng.uniform(0.9, 1.1), seconds) * rng.uniform(0.3, 1), int(begin))
    return made


def ring(rng: Rng, pitch: float, seconds: float) -> Samples:
    """A tone of this pitch (Hz) that dies down to a third in so many seconds."""
    t = np.arange(int(5 * seconds * RATE) + 1) / RATE
    return np.sin(2 * np.pi * pitch * t + rng.uniform(0, 2 * np.pi)) * np.exp(-t / seconds)


def put(into: Samples, sound: Samples, begin: int) -> None:
    """Add a sound from a place on, as far as there is room for it."""
    room = into[begin : begin + len(sound)]
    room += sound[: len(room)]


def wander(rng: Rng, count: int, pace: float) -> Samples:
    """A line between chance values of 0 to 1, `pace` of them a second."""
    knots = rng.uniform(0, 1, int(pace * count / RATE) + 2)
    return np.interp(np.arange(count) * pace / RATE, np.arange(len(knots)), knots)


def noise(rng: Rng, count: int) -> Samples:
    """Noise of one colour, between white and brown."""
    made = lfilter([1.0], [1.0, -rng.uniform(0, 0.98)], rng.standard_normal(count))
    return made / made.std()


def resonance(pitch: float, radius: float) -> tuple[list[float], list[float]]:
    return [1 - radius], [1.0, -2 * radius * np.cos(2 * np.pi * pitch / RATE), radius**2]


def clip(kind: str, rng: Rng) -> npt.NDArray[np.float32]:
    """0.8 to 1.6 seconds of a kind, 10 to 40 dB above a noise, its peak 0.05 to 0.9."""
    made = KINDS[kind](rng, int(rng.uniform(0.8, 1.6) * RATE))
    made = made / made.std() + 10 ** (-rng.uniform(10, 40) / 20) * noise(rng, len(made))
    made = lfilter([1.0], [1.0, -rng.uniform(-0.5, 0.5)], made)
    return (made / np.abs(made).max() * rng.uniform(0.05, 0.9)).astype(np.float32)


def write(folder: Path, each: int = 40, seed: int = 0) -> Path:
    """`each` clips of every kind, `folder/KIND/NUMBER.wav`."""
    import soundfile

    rng = np.random.default_rng(seed)
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
        for number in range(each):
            soundfile.write(folder / kind / f"{number:03}.wav", clip(kind, rng), RATE)
    return folder
