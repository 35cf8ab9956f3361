"""Weights & Biases' files, in `wandb`; nothing is sent. `wandb sync RUN/wandb/offline-run-*` sends them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graftwork.training.loggers.logger import Logger, Row


class WandbLogger(Logger):
    """One offline run of the project "graftwork": what was asked as its config, the numbers as its history."""

    _run: Any = None

    def start(self, folder: Path, columns: Sequence[str], rows: Sequence[Row], about: Mapping[str, Any]) -> None:
        import wandb  # pyright: ignore[reportMissingImports]

        shutil.rmtree(folder / "wandb", ignore_errors=True)
        settings = wandb.Settings(silent=True, console="off", symlink=False, disable_git=True, disable_code=True)
        self._run = wandb.init(
            project="graftwork", dir=folder, mode="offline", config=dict(about), reinit="create_new", settings=settings
        )
        for row in rows:
            self.log(row)

    def log(self, row: Row) -> None:
        self._run.log({name: value for name, value in row.items() if name != "step"}, step=int(row["step"]))

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()
