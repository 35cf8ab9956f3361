"""The standard preparation of time series: those that meet the contract become one padded batch of bare shapes."""

from collections.abc import Callable

import numpy as np
import torch

from graftwork import BackboneSpec, InputMismatch, PluginFault, State, show
from graftwork_time_series.series import Series


def build(spec: BackboneSpec) -> Callable[[list[Series]], State]:
    """Make `prepare(series)` for encoders of one channel: `State(hidden (B, T) float32 ending in zeros, mask (B, T))`.

    `preparation["normalize"]` brings what is read at once to mean 0 and variance 1, and what is constant to 0: units,
    level and size are not seen by an encoder that was pretrained so.

    `prepare` raises `InputMismatch` for a series that does not meet the contract, `PluginFault` for what is none.
    """
    normalize = bool(spec.preparation.get("normalize", False))

    def prepare(values: list[Series]) -> State:
        for series in values:
            _check(spec, series)
        rows = [series.values[:, 0] for series in values]
        hidden = torch.zeros(len(rows), max(map(len, rows), default=0))
        mask = torch.zeros(hidden.shape, dtype=torch.bool)
        for number, row in enumerate(rows):
            hidden[number, : len(row)] = torch.from_numpy(normalized(row) if normalize else row)
            mask[number, : len(row)] = True
        return State(hidden, mask)

    return prepare


def normalized(row: np.ndarray) -> np.ndarray:
    """`(T,)` with mean 0 and variance 1; zeros for what is constant, of which rounding is all that would be seen."""
    if np.ptp(row) == 0:
        return np.zeros_like(row)
    row = row / np.abs(row).max()  # whose square may be beyond what a number can be
    return (row - row.mean()) / row.std()


def _check(spec: BackboneSpec, series: Series) -> None:
    if not isinstance(series, Series):
        raise PluginFault(
            f"'{spec.name}' was given a {type(series).__name__} to prepare; the Series of the reader is accepted.",
            "Read time series with graftwork_time_series.reader.SeriesReader.",
        )
    facts = series.facts()
    for fact, wanted in spec.contract.facts.items():
        if not wanted.allows(facts[fact]):
            raise InputMismatch(
                f"Backbone '{spec.name}' wants {fact.replace('_', ' ')} {wanted}; it was given a series of "
                f"{show(facts[fact], wanted.unit)} to prepare.",
                "Apply the steps of the agreement first.",
            )
