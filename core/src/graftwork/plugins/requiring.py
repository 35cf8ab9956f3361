"""What a script asks of plugins before it begins: that they are installed and work, and their data to try them on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from graftwork.errors import UnknownName
from graftwork.plugins import registry
from graftwork.plugins.loading import installed
from graftwork.specs.factories import load_factory


def require_plugins(*distributions: str) -> None:
    """Check that plugins are installed and load, by what pip calls them: `require_plugins("graftwork-text[starter]")`.

    Raises `UnknownName` with the command that installs those that are missing, or the reason why one does not load.
    """
    missing = [name for name in distributions if not all(map(_installed, _needed(name)))]
    if missing:
        one = len(missing) == 1
        raise UnknownName(
            f"This needs {' and '.join(missing)}, which {'is' if one else 'are'} not installed.",
            f"Install {'it' if one else 'them'}: pip install "
            + " ".join(f"'{name}'" if "[" in name else name for name in missing),
        )
    reports = {_plain(report.distribution): report for report in installed().reports}
    for name in dict.fromkeys(_plain(given) for given in distributions):
        report = reports.get(name)
        if report is None:
            wanted = os.environ.get("GRAFTWORK_PLUGINS", "")
            raise UnknownName(
                f"This needs {name}, which is installed and which GRAFTWORK_PLUGINS='{wanted}' leaves out.",
                "Load all: unset GRAFTWORK_PLUGINS",
            )
        if report.disabled_by is not None:
            raise UnknownName(
                f"This needs {name}, which '{report.disabled_by}' disables.", "Take it off the list `disabled` there."
            )
        if report.errors:
            raise UnknownName(
                f"This needs {name}, which does not load: {report.errors[0]}",
                f"Install it anew: pip install --force-reinstall {name}",
            )


def _needed(name: str) -> Iterator[str]:
    """The distribution, and those of the extra that is named with it."""
    from packaging.requirements import Requirement  # listing does not need it

    asked = Requirement(name)
    yield asked.name
    if asked.extras and _installed(asked.name):
        for line in distribution(asked.name).requires or ():
            needed = Requirement(line)
            if needed.marker and any(needed.marker.evaluate({"extra": extra}) for extra in asked.extras):
                yield needed.name


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _plain(name: str) -> str:
    """The name as pip compares it, without extras."""
    return name.partition("[")[0].lower().replace("_", "-")


def demo_data(name: str, folder: str | Path) -> Path:
    """The labelled data of the demo of this name, as a path that `graftwork.data` and `fit` take.

    folder: for what the demo writes. Raises `UnknownName` if no installed plugin brings it.
    """
    demo = registry.demo(name)
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(load_factory(demo.data)(Path(folder)))
