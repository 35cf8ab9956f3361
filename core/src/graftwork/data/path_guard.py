"""Where paths that stand in a data file may lead: somebody else may have written it, and must not choose at will which
files of this machine are read."""

from __future__ import annotations

import os
from pathlib import Path

from graftwork.errors import DataError


class PathGuard:
    """The folders that hold every file that a source may name. name: what the source is called."""

    def __init__(self, name: str, *folders: Path) -> None:
        self.name = name
        self._folders = [os.path.realpath(folder) for folder in folders]

    def check(self, path: Path, where: str, said: str) -> None:
        """Called right before a file is used. where: the place in the source that names it; said: the path as written.

        Raises `DataError` where `path`, its `..` and symbolic links followed, leads outside of the folders.
        """
        try:
            found = os.path.realpath(path)
        except ValueError:  # a null byte: no file is called so, as whoever opens it says
            return
        if any(Path(found).is_relative_to(folder) for folder in self._folders):
            return
        raise DataError(
            f"{where} of '{self.name}' names '{said}', which leads to '{found}', outside of '{self._folders[0]}'; "
            "paths that stay inside are accepted.",
            "If you trust who wrote it, allow that: --allow-outside (in Python allow_outside=True)",
        )
