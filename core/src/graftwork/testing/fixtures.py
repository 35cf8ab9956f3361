"""Fixtures for authors, found by pytest itself once graftwork is installed (the `pytest11` entry point)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from graftwork.plugins.loading import Plugins


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("graftwork").addoption(
        "--graftwork-fast", action="store_true", help="leave out the checks of Graftwork's kit that take long"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "graftwork_slow: takes long; --graftwork-fast leaves it out")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--graftwork-fast"):
        return
    left_out = [item for item in items if item.get_closest_marker("graftwork_slow")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


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
