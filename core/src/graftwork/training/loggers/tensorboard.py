"""TensorBoard's event files, in `tensorboard`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graftwork.training.loggers.logger import Logger, Row


class TensorBoardLogger(Logger):
    """A scalar for each number of a row."""

    _writer: Any = None

    def start(self, folder: Path, columns: Sequence[str], rows: Sequence[Row], about: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        shutil.rmtree(folder / "tensorboard", ignore_errors=True)
        self._writer = SummaryWriter(str(folder / "tensorboard"))
        for row in rows:
            self.log(row)

    def log(self, row: Row) -> None:
        for name, value in row.items():
            if name not in ("step", "epoch"):
                self._writer.add_scalar(name, value, int(row["step"]))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
