"""What a check is, how they are found, and how all that concern a plugin become tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from graftwork.errors import UsageError
from graftwork.plugins.loading import PluginReport, installed

Reference = Callable[[Any, list[Any]], Any]
"""`reference(backbone, values)`: what the library that the encoder comes from makes of decoded examples, by its own
preparation and forward: the hidden states after the last stage, padded at their ends like the backbone's, or what is
pooled of them, `(B, D)`."""


class Nonconformance(AssertionError):
    """What of a plugin does not keep a promise, and what to change."""

    def __init__(self, wrong: str, change: str) -> None:
        super().__init__(f"{wrong} {change}")


class NotChecked(Exception):
    """Why a check has nothing to look at here; the tests say so instead of passing."""


@dataclass(frozen=True)
class Given:
    """What an author gives beside the plugin, by names of backbones. weights: a folder in the place of a spec's own."""

    references: Mapping[str, Reference] = field(default_factory=dict)
    weights: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One check of one registered thing; calling it raises `Nonconformance` or `NotChecked`."""

    kind: str
    subject: str
    check: str
    run: Callable[[], None]

    @property
    def name(self) -> str:
        return f"{self.subject}-{self.check}"

    def __call__(self) -> None:
        try:
            self.run()
        except (Nonconformance, NotChecked):
            raise
        except Exception as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise Nonconformance(
                f"{self.check} of '{self.subject}' ended in {type(error).__name__}: {first}.",
                "See the traceback above: the plugin, or what it gives the kit to work with, raised it.",
            ) from error


class Registered:
    """Something that a plugin registers, under test: what checks are called with, unless their kind has a class."""

    def __init__(self, name: str, spec: Any, given: Given) -> None:
        self.name, self.spec = name, spec


R = TypeVar("R", bound=Registered)
Check = Callable[[Any], None]
CHECKS: dict[str, list[Check]] = {}
"""The checks of each kind of thing, in the order in which they are run."""

_SUBJECTS: dict[str, type[Registered]] = {}


def check(kind: str) -> Callable[[Check], Check]:
    """Register a function as a check of a kind ("backbones"); its name says what must hold."""

    def register(function: Check) -> Check:
        CHECKS.setdefault(kind, []).append(function)
        return function

    return register


def subject(kind: str) -> Callable[[type[R]], type[R]]:
    """Register the class that checks of a kind are called with."""

    def register(class_: type[R]) -> type[R]:
        _SUBJECTS[kind] = class_
        return class_

    return register


def cases(
    plugin: str, references: Mapping[str, Reference] | None = None, weights: Mapping[str, Path] | None = None
) -> list[Case]:
    """Every check of everything that an installed plugin registers; what is given is as `conformance` takes it.

    Raises `UsageError` where it is not installed, or disabled.
    """
    from graftwork.testing import backbones, modalities, networks, plugin_checks, training  # noqa: F401  register checks

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
            one = _SUBJECTS.get(kind, Registered)(name, spec, given)
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
        try:
            case()
        except NotChecked as reason:
            pytest.skip(str(reason))

    return test_conformance
