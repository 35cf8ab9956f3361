"""Vibrations of slow machines to try the plugin on, and how far one gets with statistics of their values."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import kurtosis, skew

from graftwork_time_series.series import Series

RATE, SECONDS, EACH = 100, 4.0, 40
STATES = ("bearing", "imbalance", "loose", "misaligned", "sound")
SEED = 0


def vibrations(folder: Path) -> Path:
    """Write forty made-up vibrations of each of five states of a machine below `folder`, as CSV in class folders."""
    write(folder, SEED)
    return folder


def write(folder: Path, seed: int) -> None:
    """Another `seed` makes other machines in the same five states."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(RATE * SECONDS)) / RATE
    for state in STATES:
        place = folder / state
        place.mkdir(parents=True, exist_ok=True)
        for number in range(EACH):
            table = np.stack([time, vibration(state, time, rng)], axis=1)
            np.savetxt(
                place / f"{number:02}.csv", table, "%.4f", delimiter=",", header="time,acceleration", comments=""
            )


def vibration(state: str, time: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """What an accelerometer of unknown gain shows at a shaft that turns three to eight times a second.

    Each fault has the signs that ISO 13373 and handbooks give it, beside some of what every machine has: imbalance is
    strong at once per turn, misalignment at twice, looseness at many multiples and at halves, and a ball that passes a
    worn place of its bearing lets the case ring, some 3.6 times a turn.
    """
    turns = rng.uniform(3, 8) * time + rng.uniform() + 0.02 * np.sin(2 * np.pi * rng.uniform(0.1, 0.4) * time)
    orders = {order: rng.uniform(0.1, 0.4) / order for order in (1, 2, 3, 4)}
    if state == "imbalance":
        orders[1] += rng.uniform(0.4, 1.2)
    elif state == "misaligned":
        orders[2] += rng.uniform(0.3, 1.0)
        orders[3] += rng.uniform(0, 0.3)
    elif state == "loose":
        for order in (0.5, 1.5, 2.5, 3.0, 3.5, 4.0):
            orders[order] = orders.get(order, 0) + rng.uniform(0.1, 0.45)
    moves = sum(size * np.sin(2 * np.pi * (order * turns + rng.uniform())) for order, size in orders.items())
    if state == "bearing":
        moves = moves + rng.uniform(0.5, 1.6) * _ringing(3.6 * turns, time, rng)
    hiss = rng.standard_normal(len(time)) * rng.uniform(0.1, 0.5)
    return rng.uniform(0.2, 5) * (moves + hiss)


def _ringing(
    passes: npt.NDArray[np.float64], time: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """A decaying tone from each moment on at which `passes` reaches a whole number, give or take some slip."""
    hertz, decay = rng.uniform(25, 42), rng.uniform(0.02, 0.06)
    whole = np.arange(np.ceil(passes[0]), passes[-1])
    moments = np.interp(whole + 0.03 * rng.standard_normal(len(whole)), passes, time)
    since = time - moments[:, None]
    return (np.exp(-since.clip(0) / decay) * np.sin(2 * np.pi * hertz * since) * (since >= 0)).sum(0)


def statistics(values: list[Series]) -> npt.NDArray[np.float32]:
    """Of all values of a series: mean, deviation, least, greatest, skewness, kurtosis, mean size of a step, and how
    often the mean is crossed: `(N, 8)`."""
    return np.stack([_statistics(series.values.mean(1)) for series in values]).astype(np.float32)


def _statistics(row: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    above = row > row.mean()
    return np.array(
        [
            row.mean(), row.std(), row.min(), row.max(), skew(row), kurtosis(row), np.abs(np.diff(row)).mean(),
            (above[1:] != above[:-1]).mean(),
        ]
    )  # fmt: skip
