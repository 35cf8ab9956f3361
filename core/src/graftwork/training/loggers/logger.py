"""What a logger is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, float]
"""Numbers by name: always `step` and `epoch`, and of a step its `loss`, `lr`, `grad_norm` and `examples_per_s`, of a
validation its figures, their names after `val_`. Two rows may be of one step."""


class Logger(ABC):
    """Takes the numbers of a training as they come, on the main process; made without arguments.

    What it writes into its folder moves into the run's when training is done, so nothing of it may say where it lies.
    """

    @abstractmethod
    def start(self, folder: Path, columns: Sequence[str], rows: Sequence[Row], about: Mapping[str, Any]) -> None:
        """Begin, or go on where a training was stopped.

        folder: others write there too; take a name of your own in it. columns: the names that rows may have.
        rows: those of the steps that were taken before; whatever else was written must go, since these steps are
        taken again. about: what was asked of the training, as JSON has it.
        """

    @abstractmethod
    def log(self, row: Row) -> None:
        """Write a row."""

    @abstractmethod
    def close(self) -> None:
        """Write what is left. Called once, also where training fails."""
