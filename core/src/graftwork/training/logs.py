"""What a training said of each step: a CSV file, and TensorBoard's where it is asked for."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from graftwork.errors import UsageError

COLUMNS: list[str] = ["step", "epoch", "loss", "lr", "grad_norm", "examples_per_s", "val_accuracy", "val_log_loss"]


class Log:
    """Rows of `columns` as they come, one a step and one a validation; none where there is no file.

    step: rows after it, which a fit that was killed wrote, are dropped. tensorboard: the folder for its files.
    """

    def __init__(
        self, path: Path | None, step: int, tensorboard: Path | None = None, columns: Sequence[str] = COLUMNS
    ) -> None:
        self._file: IO[str] | None = None
        self._board: Any = None
        if path is None:
            return
        kept = [row for row in _read(path) if int(row["step"]) <= step]
        self._file = path.open("w", newline="", encoding="utf-8")
        self._rows = csv.DictWriter(self._file, columns)
        self._rows.writeheader()
        self._rows.writerows(kept)
        if tensorboard is not None:
            self._board = _tensorboard()(str(tensorboard), purge_step=step)

    def __call__(self, **row: float) -> None:
        if self._file is None:
            return
        self._rows.writerow({name: f"{value:.6g}" for name, value in row.items()})
        self._file.flush()
        if self._board is not None:
            for name, value in row.items():
                if name not in ("step", "epoch"):
                    self._board.add_scalar(name, value, row["step"])

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()


def check_tensorboard() -> None:
    """Raises `UsageError` when TensorBoard is not installed."""
    _tensorboard()


def _tensorboard() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "--tensorboard needs the package tensorboard, which is not installed.",
            "Install it: pip install 'graftwork[tensorboard]'",
        ) from error
    return SummaryWriter


def _read(path: Path) -> list[dict[str, str]]:
    """The rows that are whole: a kill may have torn the last."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if (row["step"] or "").isdecimal() and None not in row.values()]
