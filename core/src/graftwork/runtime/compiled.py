"""Where engines keep the models that they have compiled; known without loading an engine."""

from __future__ import annotations

import shutil
from pathlib import Path

from graftwork.runtime.cache_folder import cache_folder


def compiled_folder() -> Path:
    return cache_folder() / "engines"


def size() -> int:
    """The bytes of all compiled models."""
    return sum(file.stat().st_size for file in compiled_folder().rglob("*") if file.is_file())


def clear() -> int:
    """Delete all compiled models. Returns their bytes."""
    found = size()
    shutil.rmtree(compiled_folder(), ignore_errors=True)
    return found
