"""Answers as files of a folder: masks, drawn pictures, label files that other tools read."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graftwork.errors import UsageError
from graftwork.specs.readers import Raw


class AnswerFolder(ABC):
    """Writes answers into a folder, one at a time; made with the folder, which is there and empty."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[str, int] = {}

    @abstractmethod
    def add(self, raw: Raw, answer: dict[str, Any]) -> None:
        """Write what is found in an input; `answer` as `predict` gives it, without those that have an `error`."""

    def close(self) -> None:  # noqa: B027  most have nothing to end with
        """Write what stands at the end, after the last answer."""

    def name_for(self, raw: Raw) -> str:
        """A name for the files of an input, without an ending: that of its file, and a number where it was taken."""
        stem = Path(raw.name).stem if raw.path is not None else "input"
        count = self._names[stem] = self._names.get(stem, 0) + 1
        return stem if count == 1 else f"{stem}-{count}"


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder that appears whole or not at all. Raises `UsageError` where something is there, or nothing can be
    written."""
    check_new(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise UsageError(f"'{path}' cannot be written: {error.strerror}.", "Name another: --out DIR") from error
    try:
        yield made
        made.chmod(0o755)
        made.replace(path)
    except OSError as error:
        raise UsageError(f"'{path}' cannot be written: {error.strerror}.", "Name another: --out DIR") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def check_new(path: Path) -> None:
    """Raises `UsageError` for a path where something is."""
    if path.exists():
        raise UsageError(f"'{path}' is there already.", "Name another: --out DIR, or remove it.")
