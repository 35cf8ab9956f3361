"""Faults of plugins as errors of ours: each names the plugin, its distribution and version, the hook and the line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from graftwork.errors import GraftworkError, PluginFault, Unhandled
from graftwork.plugins import config
from graftwork.plugins.guard import said
from graftwork.plugins.loading import loaded
from graftwork.plugins.owners import blamed
from graftwork.plugins.report import PluginReport

Given = ParamSpec("Given")
Found = TypeVar("Found")


def plugin_fault(error: BaseException) -> PluginFault | None:
    """What was raised in a plugin's code, as its fault; None for any other error, and for one that names its plugin."""
    if isinstance(error, KeyboardInterrupt) or (isinstance(error, GraftworkError) and not _unowned(error)):
        return None
    reports = loaded()
    if not isinstance(error, PluginFault):
        found = blamed(error, reports)
        if found is None:
            return None
        words = f"{named(found.report)} failed in {found.hook}, {found.place}: {said(error)}."
        return PluginFault(words, way_on(found.report), owned=True)
    found = blamed(error.__cause__, reports) if error.__cause__ else None
    if found is not None:
        where = f"in {named(found.report, 'the')}, {found.hook}, {found.place}"
    else:
        package = error.factory.partition(":")[0].partition(".")[0]
        report = next((report for report in reports if package in report.packages), None)
        if report is None:
            return None
        where = f"it is code of {named(report, 'the')}"
    return PluginFault(f"{error.message.rstrip('.')}; {where}.", error.hint, owned=True)


def _unowned(error: GraftworkError) -> bool:
    return isinstance(error, PluginFault) and not error.owned


def faults_have_owners(function: Callable[Given, Found]) -> Callable[Given, Found]:
    """Raise `PluginFault` for what a plugin's code raises inside a function of the public interface."""

    @wraps(function)
    def guarded(*args: Given.args, **options: Given.kwargs) -> Found:
        try:
            return function(*args, **options)
        except BaseException as error:
            if (fault := plugin_fault(error)) is None:
                raise
            raise fault from error

    return guarded


@contextmanager
def one_example(name: Callable[[], str]) -> Iterator[None]:
    """Raise `Unhandled` for what a plugin's code raises over one example, so that it costs this example alone.

    name: gives the example in a few words.
    """
    try:
        yield
    except BaseException as error:
        if (isinstance(error, GraftworkError) and not _unowned(error)) or (fault := plugin_fault(error)) is None:
            raise
        raise Unhandled(f"'{name()}' cannot be read: {fault.message}") from error


def named(report: PluginReport, article: str = "The") -> str:
    return f"{article} plugin '{report.name}' ({report.distribution} {report.version})"


def way_on(report: PluginReport) -> str:
    """The next steps: of the user, and of the plugin's author."""
    return (
        f'Report it to its authors. To go on without it: disabled = ["{report.name}"] under [plugins] in '
        f"'{config.file_in_use()}', or leave it out of GRAFTWORK_PLUGINS. Its authors see more with GRAFTWORK_DEBUG=1."
    )
