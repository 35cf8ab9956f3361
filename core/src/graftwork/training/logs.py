"""What the loop says of each step and each validation, to every logger that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from graftwork.plugins import registry
from graftwork.runtime import processes
from graftwork.specs.factories import load_factory, require
from graftwork.specs.settings import Settings
from graftwork.training.checkpoints import Unfinished
from graftwork.training.loggers.csv_file import read_rows
from graftwork.training.loggers.logger import Logger

COLUMNS = ("step", "epoch", "loss", "lr", "grad_norm", "examples_per_s")
"""What every log has; the figures of validations follow."""


def logger_names(settings: Settings) -> list[str]:
    """The loggers that are asked for, and csv, from which all go on after a kill."""
    asked = (*settings.loggers, *(("tensorboard",) if settings.tensorboard else ()))
    return list(dict.fromkeys(("csv", *asked)))


def check_loggers(settings: Settings) -> None:
    """Raises `UnknownName` for a logger that nothing brings, `UsageError` for one whose package is not installed."""
    for name in logger_names(settings):
        spec = registry.logger(name)
        require(spec.needs, f"The logger '{name}'", spec.extra)


class Logs:
    """The loggers of one training; as a context it closes them.

    folder: where they write. step: the last that was taken before; rows after it are dropped. about: what was asked.
    """

    def __init__(
        self, loggers: Sequence[Logger], folder: Path, columns: Iterable[str], step: int, about: Mapping[str, Any]
    ) -> None:
        self._loggers: list[Logger] = []
        names = (*COLUMNS, *columns)
        rows = read_rows(folder, step) if loggers else []
        try:
            for logger in loggers:
                self._loggers.append(logger)
                logger.start(folder, names, rows, about)
        except BaseException:
            self.close()
            raise

    @classmethod
    def of(cls, settings: Settings, unfinished: Unfinished | None, columns: Iterable[str], step: int) -> Logs:
        """Those that are asked for, on the main process of a training that is kept; else none."""
        if unfinished is None or not processes.is_main_process():
            return cls((), Path(), columns, step, {})
        loggers = [load_factory(registry.logger(name).factory)() for name in logger_names(settings)]
        return cls(loggers, unfinished.folder, columns, step, unfinished.request)

    def __call__(self, **row: float) -> None:
        for logger in self._loggers:
            logger.log(row)

    def close(self) -> None:
        while self._loggers:
            self._loggers.pop().close()

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
