"""What shows only when all plugins are loaded: facts that are there already, and what is for something that is not."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from graftwork.plugins.report import PluginReport

if TYPE_CHECKING:
    from graftwork.plugins.loading import Plugins


def settle(plugins: Plugins) -> None:
    """Drop added facts that the modality observes itself, and converters of facts that nobody observes.

    What is wrong stands in the report of the plugin that brought them. A modality that no loaded plugin brings is only
    warned of, since its plugin may be disabled.
    """
    observed = _own_facts(plugins)
    for name, spec in list(plugins.registered["facts"].items()):
        report = plugins.owner("facts", name)
        if report is None or not _there(plugins, f"The fact '{name}'", spec.modality, report):
            continue
        reader = plugins.owner("modalities", spec.modality)
        if reader is not None and spec.fact.name in observed[spec.modality]:
            _drop(plugins, "facts", name, report)
            report.errors.append(
                f"The fact '{name}' is observed by {reader.distribution}, which brings the modality, so the one that "
                f"{report.distribution} adds is not used: give it another name."
            )
        else:
            observed[spec.modality].add(spec.fact.name)
    for kind, noun in (("steps", "The optional step"), ("converters", "The converter")):
        for name, spec in list(plugins.registered[kind].items()):
            report = plugins.owner(kind, name)
            if report is None or not _there(plugins, f"{noun} '{name}'", spec.modality, report) or kind == "steps":
                continue
            known = observed[spec.modality]
            if spec.fact not in known and ("facts", f"{spec.modality}:{spec.fact}") not in plugins.conflicts:
                _drop(plugins, kind, name, report)
                near = difflib.get_close_matches(spec.fact, known, 1)
                nearest = f"the nearest of those that are is '{near[0]}'" if near else f"observed are {_list(known)}"
                report.errors.append(
                    f"{noun} '{name}' changes the fact '{spec.fact}', which nobody observes, so it is not used; "
                    f"{nearest}{plugins.disabled()}."
                )


def _own_facts(plugins: Plugins) -> dict[str, set[str]]:
    return {name: {fact.name for fact in kind.facts} for name, kind in plugins.registered["modalities"].items()}


def _there(plugins: Plugins, what: str, modality: str, report: PluginReport) -> bool:
    """Whether the modality that something is for is loaded; its plugin is warned if not."""
    known = plugins.registered["modalities"]
    if modality in known:
        return True
    near = difflib.get_close_matches(modality, known, 1)
    nearest = f"; the nearest is '{near[0]}'" if near else ""
    words = f"{what} is for the modality '{modality}', which no loaded plugin brings{nearest}{plugins.disabled()}."
    if words not in report.warnings and ("modalities", modality) not in plugins.conflicts:
        report.warnings.append(words)
    return False


def _drop(plugins: Plugins, kind: str, name: str, report: PluginReport) -> None:
    del plugins.registered[kind][name]
    report.provides[kind].remove(name)


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
