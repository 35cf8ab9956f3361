"""Every check of everything that a plugin registers, collected, and made tests of."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from graftwork.errors import UsageError
from graftwork.plugins.loading import PluginReport, installed
from graftwork.plugins.registry import backbone
from graftwork.testing.cases import CHECKS, SLOW, SUBJECTS, Case, Given, NotChecked, Reference, Registered


def cases(
    plugin: str,
    references: Mapping[str, Reference | None] | None = None,
    weights: Mapping[str, Path] | None = None,
    *,
    reasons: Mapping[str, str] | None = None,
    ids: Sequence[str] = (),
) -> list[Case]:
    """Every check of everything that an installed plugin registers; what is given is as `conformance` takes it.

    Raises `UsageError` where it is not installed, or disabled.
    """
    from graftwork.testing import (  # noqa: F401  register checks
        backbones,
        factories,
        facts_and_steps,
        freeze_policies,
        modalities,
        networks,
        plugin_checks,
        resolvers,
        tasks,
        views,
        weightless,
    )

    report = _report(plugin)
    return list(_cases(report, Given(references or {}, weights or {}, reasons or {}, ids)))


def _cases(report: PluginReport, given: Given) -> Iterator[Case]:
    for function in CHECKS["plugin"]:
        yield Case("plugin", report.name, function.__name__, partial(function, report), function in SLOW)
    for kind, names in report.provides.items():
        for name in names:
            spec = installed().registered[kind].get(name)
            if spec is None:  # in conflict with another plugin, which the plugin's own checks say
                continue
            yield from _checks(kind, name, spec, given)
    for name in given.ids:
        try:
            spec = backbone(name)
        except Exception as error:
            yield Case("resolvers", name, "it_resolves_what_is_given", partial(_again, error))
        else:
            yield from _checks("backbones", name, spec, given)


def _checks(kind: str, name: str, spec: Any, given: Given) -> Iterator[Case]:
    one = SUBJECTS.get(kind, Registered)(name, spec, given)
    for function in CHECKS.get(kind, []):
        yield Case(kind, name, function.__name__, partial(function, one), function in SLOW)


def _again(error: Exception) -> None:
    raise error


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
    plugin: str,
    *,
    references: Mapping[str, Reference | None] | None = None,
    reasons: Mapping[str, str] | None = None,
    weights: Mapping[str, Path] | None = None,
    ids: Sequence[str] = (),
) -> Callable[..., None]:
    """A pytest test that runs every check of everything that a plugin registers, each as a case of its own:

        test_conformance = graftwork.testing.conformance("my-plugin")

    plugin: the name of its entry point or distribution, which must be installed. references: for a backbone's name,
    what the library that it comes from makes of decoded examples (see `Reference`); None where there is no such
    library, which counts as answered where reasons says why. weights: for a backbone's name, a folder of weights to
    check with where its own are not at hand; without any it is checked with random ones. ids: names of which its
    resolvers make specs ("tiny:64"), each checked as a backbone.

    `pytest --graftwork-fast` leaves out the checks that take long; they are marked `graftwork_slow`.
    """
    import pytest

    found = cases(plugin, references, weights, reasons=reasons, ids=ids)
    marked = [
        pytest.param(case, id=case.name, marks=[pytest.mark.graftwork_slow] if case.slow else []) for case in found
    ]

    @pytest.mark.parametrize("case", marked)
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
