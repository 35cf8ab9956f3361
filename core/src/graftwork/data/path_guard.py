"""A guard on the paths in a data file: somebody else may have written it, and must not choose which files of this
machine are read.
"""

from __future__ import annotations

import os
from pathlib import Path

from graftwork.errors import DataError


class PathGuard:
    """The folders that paths in a source may lead into. name: the source's name in messages."""

    def __init__(self, name: str, *folders: Path) -> None:
        self.name = name
        self._folders = [os.path.realpath(folder) for folder in folders]

    def check(self, path: Path, where: str, said: str) -> None:
        """Check a path right before its file is used.

        where: the place in the source that names it. said: the path as written.

        Raises `DataError` if `path`, with `..` and symbolic links resolved, leads outside of the folders.
        """
        try:
            resolved = os.path.realpath(path)
        except ValueError:  # a null byte: no such file can exist, and opening it fails
            return
        if any(Path(resolved).is_relative_to(folder) for folder in self._folders):
            return
        raise DataError(
            f"{where} of '{self.name}' names '{said}', which leads to '{resolved}', outside of '{self._folders[0]}'; "
            "paths that stay inside are accepted.",
            "If you trust who wrote it, allow that: --allow-outside (in Python allow_outside=True)",
        )
