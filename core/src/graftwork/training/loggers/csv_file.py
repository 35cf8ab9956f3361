"""`log.csv`: the rows as a table, which is written whatever else is."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from graftwork.training.loggers.logger import Logger, Row

FILE = "log.csv"


class CsvLogger(Logger):
    """A line of the file for each row, its numbers to six digits."""

    _file: IO[str] | None = None

    def start(self, folder: Path, columns: Sequence[str], rows: Sequence[Row], about: Mapping[str, Any]) -> None:
        self._file = (folder / FILE).open("w", newline="", encoding="utf-8")
        self._rows = csv.DictWriter(self._file, columns)
        self._rows.writeheader()
        for row in rows:
            self._write(row)

    def log(self, row: Row) -> None:
        self._write(row)
        assert self._file is not None
        self._file.flush()

    def _write(self, row: Row) -> None:
        self._rows.writerow({name: f"{value:.6g}" for name, value in row.items()})

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def read_rows(folder: Path, step: int) -> list[Row]:
    """The rows up to a step; those that are whole, since a kill may have torn the last."""
    file = folder / FILE
    if not file.is_file():
        return []
    rows = []
    with file.open(newline="", encoding="utf-8") as opened:
        for row in csv.DictReader(opened):
            if (row["step"] or "").isdecimal() and None not in row.values() and int(row["step"]) <= step:
                rows.append({name: float(value) for name, value in row.items() if value})
    return rows
