"""Loading plugins, each entry point on its own and guarded, so that a broken one becomes a report and nothing else.

Two plugins that register the same name are a conflict that names both; neither is used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, distributions
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pluggy

from graftwork.errors import PluginConflict
from graftwork.plugins import builtin, config, hooks
from graftwork.plugins.config import Config
from graftwork.plugins.guard import first_line, guarded, said
from graftwork.plugins.nearest import check_hooks, nearest_words
from graftwork.plugins.owners import claimed, factories, line_in
from graftwork.plugins.report import PluginReport, watched
from graftwork.plugins.settling import settle
from graftwork.plugins.spec_fields import wrong_field
from graftwork.specs.annotations import AnnotationSpec
from graftwork.specs.backbone import BackboneSpec, Resolver
from graftwork.specs.convert import Adapter, Converter, OptionalStep
from graftwork.specs.decoder import DecoderSpec
from graftwork.specs.demo import Demo
from graftwork.specs.engine import EngineSpec
from graftwork.specs.freeze_policy import FreezePolicySpec
from graftwork.specs.limits import limits
from graftwork.specs.logger import LoggerSpec
from graftwork.specs.modality import FactSpec, Modality
from graftwork.specs.pretraining import ArchitectureSpec, ObjectiveSpec
from graftwork.specs.source import SourceSpec
from graftwork.specs.task import HeadSpec, TaskSpec

# The type that each hook yields, and the names that must be unique among plugins.
KINDS: Mapping[str, tuple[type, Any]] = {
    "modalities": (Modality, lambda spec: [spec.name]),
    "backbones": (BackboneSpec, lambda spec: [spec.name]),
    "resolvers": (Resolver, lambda spec: spec.names),
    "converters": (Converter, lambda spec: [f"{spec.modality}:{spec.name}"]),
    "facts": (FactSpec, lambda spec: [spec.name]),
    "steps": (OptionalStep, lambda spec: [spec.full_name]),
    "adapters": (Adapter, lambda spec: [spec.full_name]),
    "decoders": (DecoderSpec, lambda spec: [spec.name]),
    "tasks": (TaskSpec, lambda spec: [spec.name]),
    "heads": (HeadSpec, lambda spec: [spec.name]),
    "freeze_policies": (FreezePolicySpec, lambda spec: [spec.name]),
    "demos": (Demo, lambda spec: [spec.name]),
    "architectures": (ArchitectureSpec, lambda spec: [spec.name]),
    "objectives": (ObjectiveSpec, lambda spec: [spec.name]),
    "loggers": (LoggerSpec, lambda spec: [spec.name]),
    "sources": (SourceSpec, lambda spec: [spec.scheme]),
    "annotations": (AnnotationSpec, lambda spec: [spec.name]),
    "engines": (EngineSpec, lambda spec: [spec.name]),
}

MOST_SPECS = 10_000
"""The specs that a hook may yield, so that one without an end is noticed."""


@dataclass
class Plugins:
    """Everything registered, by kind and name, with a report for each plugin.

    notes: other warnings of `graftwork plugins`.
    """

    reports: list[PluginReport] = field(default_factory=list)
    registered: dict[str, dict[str, Any]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    conflicts: dict[tuple[str, str], str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _owners: dict[tuple[str, str], PluginReport] = field(default_factory=dict)

    def get(self, kind: str, name: str) -> Any | None:
        """The spec registered under `name`, or None. Raises `PluginConflict` if two plugins register it."""
        if (kind, name) in self.conflicts:
            raise PluginConflict(self.conflicts[kind, name], "Uninstall one of them; see: graftwork plugins")
        return self.registered[kind].get(name)

    def near(self, kind: str, name: str) -> str:
        """The end of a sentence that names the registered names nearest to `name`, and the disabled plugins."""
        return f"{nearest_words(name, sorted(self.registered[kind]))}{self.disabled()}"

    def disabled(self) -> str:
        """The end of a sentence that names the disabled plugins; empty if there are none."""
        off = {report.name: report.disabled_by for report in self.reports if report.disabled_by is not None}
        return f"; '{next(iter(off.values()))}' disables {', '.join(sorted(off))}" if off else ""

    def owner(self, kind: str, name: str) -> PluginReport | None:
        """The plugin that brings what is registered under `name`; None where there is nothing, or a conflict."""
        return self._owners.get((kind, name)) if name in self.registered[kind] else None

    def distribution(self, package: str) -> str | None:
        """The distribution of the plugin that names code in `package`; None if there is none."""
        return next((report.distribution for report in self.reports if package in report.packages), None)

    def load(self, plugin: object, report: PluginReport) -> None:
        """Register the specs that a plugin module (or object) yields, and put what is wrong with it in `report`."""
        self.reports.append(report)
        report.module = getattr(plugin, "__name__", "")
        report.packages = claimed(report.module)
        stated = getattr(plugin, "api_version", None)
        if stated != hooks.API_VERSION:
            given = "states no api_version" if stated is None else f"was written for plugin API {stated}"
            fix = f"set api_version = {hooks.API_VERSION} in its module, or install a version of it that does"
            report.errors.append(f"It {given}; this graftwork speaks API {hooks.API_VERSION}: {fix}.")
            return
        manager = pluggy.PluginManager(hooks.GROUP)
        manager.add_hookspecs(hooks)

        def refused(error: BaseException) -> None:
            report.errors.append(f"{first_line(error)}.")
            manager.unregister(plugin)

        with guarded(refused):
            manager.register(plugin, report.name)
            check_hooks(plugin, manager)
        for kind, (expected, names_of) in KINDS.items():
            for spec in self._call(manager, kind, expected, report):
                report.packages |= claimed(*factories(spec))
                for name in names_of(spec):
                    self._register(kind, name, spec, report)

    def _call(self, manager: pluggy.PluginManager, kind: str, expected: type, report: PluginReport) -> list[Any]:
        """The sound specs that a hook yields."""
        hook, found = f"graftwork_{kind}", []

        def failed(error: BaseException) -> None:
            report.errors.append(f"{hook} raised {said(error)}{line_in(error, report)}.")

        for implementation in getattr(manager.hook, hook).get_hookimpls():
            yielded: list[Any] = []
            with guarded(failed):
                yielded = list(islice(implementation.function(), MOST_SPECS + 1))
            if len(yielded) > MOST_SPECS:
                report.errors.append(f"{hook} yields more than {MOST_SPECS:,} specs, so none of them is used.")
                continue
            for item in yielded:
                if not isinstance(item, expected):
                    report.errors.append(f"{hook} yielded a {type(item).__name__}; it must yield {expected.__name__}.")
                elif self._sound(item, hook, report):
                    found.append(item)
        return found

    def _sound(self, spec: Any, hook: str, report: PluginReport) -> bool:
        """Whether every listing can use a spec; what is wrong with it goes to the report."""
        faults: list[str] = []

        def failed(error: BaseException) -> None:
            faults.append(f"cannot be described: {said(error)}{line_in(error, report)}.")

        with guarded(failed):
            if why := wrong_field(spec):
                faults.append(f"is not used: its {why}.")
            elif isinstance(spec, BackboneSpec):
                spec.as_json()
        name = getattr(spec, "name", None) or getattr(spec, "scheme", None) or type(spec).__name__
        report.errors += [f"'{name}' of {hook} {fault}" for fault in faults]
        return not faults

    def _register(self, kind: str, name: str, spec: Any, report: PluginReport) -> None:
        key = (kind, name)
        owner = self._owners.get(key)
        if owner is not None:
            both = f"both {owner.distribution} and {report.distribution}"
            message = f"'{name}' ({kind}) is claimed by {both}, so neither is used."
            self.conflicts[key] = message
            self.registered[kind].pop(name, None)
            for claimant in {id(r): r for r in (owner, report)}.values():
                if message not in claimant.errors:
                    claimant.errors.append(message)
            return
        self._owners[key] = report
        self.registered[kind][name] = spec
        report.provides.setdefault(kind, []).append(name)


def discover(wanted: str | None = None, said: Config | None = None) -> Plugins:
    """Load the core's own registrations and the installed plugins.

    wanted: the value of GRAFTWORK_PLUGINS: None loads every plugin, "" none, and a comma-separated list those with
    these names of entry points or distributions. said: the user's configuration; the plugins that it disables are not
    loaded.
    """
    said, plugins = said or Config(), _core()
    names = None if wanted is None else {part.strip() for part in wanted.split(",") if part.strip()}
    found = _entry_points()
    for distribution in found:
        entry = distribution.entry
        if names is not None and not names & {entry.name, distribution.name}:
            continue
        report = PluginReport(entry.name, distribution.name, distribution.version)
        if {entry.name, distribution.name} & set(said.disabled):
            report.disabled_by = said.file
            plugins.reports.append(report)
            continue
        twins = [o.name for o in found if o.entry.name == entry.name and o.name != distribution.name]
        if twins:
            report.errors.append(
                f"Its entry point is called '{entry.name}' like that of {', '.join(twins)}, so GRAFTWORK_PLUGINS "
                "cannot "
                "tell them apart: one of them must rename it."
            )
        module = _imported(entry, report)
        if module is None:
            plugins.reports.append(report)
        else:
            plugins.load(module, report)
    known = {name for distribution in found for name in (distribution.entry.name, distribution.name)}
    plugins.notes += [
        f"'{name}' is disabled in '{said.file}', and no installed plugin is called so."
        for name in said.disabled
        if name not in known
    ]
    settle(plugins)
    return plugins


def _imported(entry: EntryPoint, report: PluginReport) -> object | None:
    """The module that an entry point names; None where it cannot be imported, which the report then says."""
    report.packages = claimed(entry.module)

    def failed(error: BaseException) -> None:
        report.errors.append(f"{entry.value} cannot be imported: {said(error)}{line_in(error, report)}.")

    with guarded(failed), watched(report):
        return entry.load()
    return None


def unloaded(file: Path) -> Plugins:
    """The installed plugins by name, none imported: the configuration `file` may disable any of them and cannot be
    read.
    """
    plugins = _core()
    for distribution in _entry_points():
        report = PluginReport(distribution.entry.name, distribution.name, distribution.version, disabled_by=file)
        plugins.reports.append(report)
    return plugins


def _core() -> Plugins:
    plugins = Plugins()
    plugins.load(builtin, PluginReport("core", "graftwork", _own_version()))
    return plugins


_installed: Plugins | None = None


def installed() -> Plugins:
    """The plugins of this process, discovered once, as GRAFTWORK_PLUGINS and the user's configuration allow.

    Raises `ConfigError` if the configuration, or what the user set as limits, cannot be used.
    """
    global _installed
    if _installed is None:
        limits()  # a plugin that reads a file would seem to be at fault
        _installed = discover(os.environ.get("GRAFTWORK_PLUGINS"), config.read())
    return _installed


def loaded() -> list[PluginReport]:
    """The reports of the plugins of this process; none where they were not asked for yet."""
    return [] if _installed is None else _installed.reports


def use(plugins: Plugins | None) -> None:
    """Set the plugins of this process (None: discover again); meant for tests."""
    global _installed
    if plugins is not None:
        settle(plugins)
    _installed = plugins


class _Found(NamedTuple):
    """A distribution and one of its entry points. The name and version are stored since reading them parses the
    metadata.
    """

    name: str
    version: str
    entry: EntryPoint


def _entry_points() -> list[_Found]:
    found = {}
    for distribution in distributions():
        entries = [entry for entry in distribution.entry_points if entry.group == hooks.GROUP]
        if entries:
            about = distribution.metadata
            for entry in entries:
                found.setdefault((about["Name"], entry.name), _Found(about["Name"], about["Version"], entry))
    return [found[key] for key in sorted(found)]


def _own_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("graftwork")
    except PackageNotFoundError:
        return "0"
