"""The folder of everything that is kept and can be made or fetched again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """GRAFTWORK_CACHE, or the user's cache folder."""
    from platformdirs import user_cache_path

    named = os.environ.get("GRAFTWORK_CACHE")
    return Path(named).expanduser() if named else user_cache_path("graftwork", False)


def store_folder() -> Path:
    """The folder of the feature store."""
    return cache_folder() / "features"
