"""What a script asks of the plugins before it begins: that they are here, and the data that they bring to try."""

from __future__ import annotations

import os
from pathlib import Path

from graftwork.errors import UnknownName
from graftwork.plugins import registry
from graftwork.plugins.loading import distribution_names, installed
from graftwork.specs.factories import load_factory


def require_plugins(*distributions: str) -> None:
    """Check that plugins are installed and work, by what pip calls them: `require_plugins("graftwork-text[starter]")`.

    Raises `UnknownName` with the command that installs those that are not, or why one that is does not load.
    """
    wanted = {name.partition("[")[0].lower().replace("_", "-"): name for name in distributions}
    reports = {report.distribution.lower().replace("_", "-"): report for report in installed().reports}
    found = distribution_names()
    missing = [given for name, given in wanted.items() if name not in found]
    if missing:
        quoted = " ".join(f"'{name}'" if "[" in name else name for name in missing)
        raise UnknownName(
            f"This needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed.",
            f"Install {'it' if len(missing) == 1 else 'them'}: pip install {quoted}",
        )
    for name in wanted:
        report = reports.get(name)
        if report is None:
            raise UnknownName(
                f"This needs {name}, which is installed, and GRAFTWORK_PLUGINS='{os.environ.get('GRAFTWORK_PLUGINS')}' "
                "leaves it out.",
                "Load it: unset GRAFTWORK_PLUGINS",
            )
        if report.disabled_by is not None:
            raise UnknownName(
                f"This needs {name}, which '{report.disabled_by}' disables.", "Take its name out of `disabled` there."
            )
        if report.errors:
            raise UnknownName(
                f"This needs {name}, which does not load: {report.errors[0]}",
                f"Install it anew: pip install --force-reinstall {name}",
            )


def demo_data(name: str, folder: str | Path) -> Path:
    """The labelled set of the demo of this name, as a path that `graftwork.data` and `fit` take; what has to be written
    is written into `folder`. It is what `graftwork demo NAME --data DIR` keeps.

    Raises `UnknownName` when no installed plugin brings it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return Path(load_factory(registry.demo(name).data)(folder))
