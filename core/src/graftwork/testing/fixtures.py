"""Fixtures for authors, found by pytest itself once graftwork is installed (the `pytest11` entry point)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from graftwork.plugins.loading import Plugins


@pytest.fixture
def graftwork_isolated() -> Iterator[Callable[..., Plugins]]:
    """Nothing installed is seen but the core and the plugin modules named: `graftwork_isolated(module, ...)`.

    Each stands under its module's name, from a distribution `dist-NAME`. What is installed comes back afterwards.
    """
    from graftwork.plugins import builtin, loading

    def only(*modules: object) -> loading.Plugins:
        found = loading.Plugins()
        found.load(builtin, loading.PluginReport("core", "graftwork", "0"))
        for number, module in enumerate(modules):
            name = getattr(module, "__name__", f"plugin{number}")
            found.load(module, loading.PluginReport(name, f"dist-{name}", "1.0"))
        loading.use(found)
        return found

    yield only
    loading.use(None)


@pytest.fixture
def graftwork_data(tmp_path: Path) -> Callable[..., Path]:
    """Write a small labelled set of a modality: `graftwork_data("image")` returns what `graftwork.fit` takes."""

    def write(modality: str, labels: tuple[str, ...] = ("a", "b"), each: int = 6) -> Path:
        from graftwork.testing.samples import write_data

        return write_data(modality, tmp_path, labels, each)

    return write
