"""Every check of everything that a plugin registers, collected, and made tests of."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from graftwork.errors import UsageError
from graftwork.plugins.loading import PluginReport, installed
from graftwork.testing.cases import CHECKS, SUBJECTS, Case, Given, NotChecked, Reference, Registered


def cases(
    plugin: str, references: Mapping[str, Reference] | None = None, weights: Mapping[str, Path] | None = None
) -> list[Case]:
    """Every check of everything that an installed plugin registers; what is given is as `conformance` takes it.

    Raises `UsageError` where it is not installed, or disabled.
    """
    from graftwork.testing import (  # noqa: F401  register checks
        backbones,
        facts_and_steps,
        freeze_policies,
        modalities,
        networks,
        plugin_checks,
        tasks,
        views,
        weightless,
    )

    report = _report(plugin)
    return list(_cases(report, Given(references or {}, weights or {})))


def _cases(report: PluginReport, given: Given) -> Iterator[Case]:
    for function in CHECKS["plugin"]:
        yield Case("plugin", report.name, function.__name__, partial(function, report))
    for kind, names in report.provides.items():
        for name in names:
            spec = installed().registered[kind].get(name)
            if spec is None:  # in conflict with another plugin, which the plugin's own checks say
                continue
            one = SUBJECTS.get(kind, Registered)(name, spec, given)
            for function in CHECKS.get(kind, []):
                yield Case(kind, name, function.__name__, partial(function, one))


def _report(plugin: str) -> PluginReport:
    reports = installed().reports
    for report in reports:
        if plugin in (report.name, report.distribution):
            if report.disabled_by is not None:
                raise UsageError(
                    f"The plugin '{plugin}' is disabled by '{report.disabled_by}', so nothing of it can be checked.",
                    "Take it out of the list there.",
                )
            return report
    names = ", ".join(report.name for report in reports)
    raise UsageError(f"No plugin '{plugin}' is installed; installed: {names}.", "Install it first: pip install -e .")


def conformance(
    plugin: str, *, references: Mapping[str, Reference] | None = None, weights: Mapping[str, Path] | None = None
) -> Callable[..., None]:
    """A pytest test that runs every check of everything that a plugin registers, each as a case of its own:

        test_conformance = graftwork.testing.conformance("my-plugin")

    plugin: the name of its entry point or distribution, which must be installed. references: for a backbone's name,
    what the library that it comes from makes of decoded examples (see `Reference`). weights: for a backbone's name, a
    folder of weights to check with where its own are not at hand; without any it is checked with random ones.
    """
    import pytest

    found = cases(plugin, references, weights)

    @pytest.mark.parametrize("case", found, ids=[case.name for case in found])
    def test_conformance(case: Case) -> None:
        why = ""
        try:
            case()
        except NotChecked as reason:
            why = str(reason)
            traceback.clear_frames(reason.__traceback__)  # which would hold the encoder until garbage is looked for
        if why:
            pytest.skip(why)

    return test_conformance
