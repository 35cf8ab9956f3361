"""Series made to measure, for the conformance kit: of a rate, a length, so many channels, with gaps or without."""

import random
from collections.abc import Mapping

import numpy as np

from graftwork import Raw, Value
from graftwork_time_series.reader import TIME


def build(facts: Mapping[str, Value], rng: random.Random) -> Raw:
    """Waves in noise as a CSV file: 100 Hz, one channel, 1.2 to 3 s. Raises `LookupError` for what is no series."""
    rate, channels = float(facts.get("sampling_rate", 100)), int(facts.get("channels", 1))
    seconds, missing = float(facts.get("duration", rng.randint(120, 300) / 100)), int(facts.get("missing_values", 0))
    points = round(seconds * rate)
    if points < 2 or not 1 <= channels <= 16 or not 0 <= missing < 100:
        raise LookupError("no such series is made")
    numbers = np.random.default_rng(rng.getrandbits(32))
    time = np.arange(points) / rate
    values = np.sin(2 * np.pi * numbers.uniform(0.01, 0.3, channels) * rate * time[:, None])
    values += 0.1 * numbers.standard_normal(values.shape)
    if facts.get("signal") == "constant":
        values[:] = numbers.standard_normal(channels)
    cells = [[repr(float(value)) for value in row] for row in values]
    for place in numbers.choice(points * channels, int(points * channels * missing / 100), replace=False):
        cells[place // channels][place % channels] = ""
    lines = [",".join([TIME, *(f"channel{number}" for number in range(1, channels + 1))])]
    lines += [",".join([repr(float(second)), *row]) for second, row in zip(time, cells, strict=True)]
    return Raw("sample.csv", value="\n".join(lines).encode())
