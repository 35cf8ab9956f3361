"""What plugins bring, spec by spec: all of one plugin, or all that is installed of a kind."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from graftwork.errors import UnknownName
from graftwork.plugins.loading import KINDS, PluginReport, installed
from graftwork.plugins.nearest import nearest_words
from graftwork.specs.contracts import InputContract, Requirement

SUMMARIES = ("summary", "labels", "words", "noun", "loss", "note", "factory", "reader", "data")
"""Fields that say in words what a spec is for; the first that a spec has and fills is shown."""


def reports_on(name: str) -> list[PluginReport]:
    """The plugins of this name, of an entry point or a distribution. Raises `UnknownName` if there are none."""
    reports = installed().reports
    found = [report for report in reports if name in (report.name, report.distribution)]
    if found:
        return found
    known = sorted({report.name for report in reports})
    raise UnknownName(
        f"No plugin is called '{name}'{nearest_words(name, known)}.", f"Installed are {', '.join(known)}."
    )


def brought(report: PluginReport) -> dict[str, list[dict[str, Any]]]:
    """What a plugin brings, by kind: the name of each spec and its fields. What another plugin claims too is left
    out.
    """
    found = {}
    for kind, names in report.provides.items():
        specs = {name: installed().registered[kind].get(name) for name in names}
        found[kind] = [{"name": name, **described(spec)} for name, spec in specs.items() if spec is not None]
    return found


def of_kind(word: str) -> tuple[str, list[dict[str, Any]]]:
    """A kind ("freeze_policies", "freeze-policies"), and all that is installed of it, each with its plugin.

    Raises `UnknownName` for what is no kind.
    """
    kind = word.lower().replace("-", "_")
    if kind not in KINDS:
        raise UnknownName(
            f"Plugins bring nothing that is called '{word}'{nearest_words(kind, list(KINDS))}.",
            f"They bring {', '.join(KINDS)}.",
        )
    rows = []
    for report in installed().reports:
        for name in report.provides.get(kind, ()):
            if (spec := installed().registered[kind].get(name)) is not None:
                who = {"plugin": report.name, "distribution": report.distribution}
                rows.append({"name": name, "summary": summary(spec), **described(spec), **who})
    return kind, rows


def described(spec: Any) -> dict[str, Any]:
    """The fields of a spec as JSON can say them, but for a `name`, which it is registered under."""
    return {field.name: _plain(getattr(spec, field.name)) for field in fields(spec) if field.name != "name"}


def summary(spec: Any) -> str:
    """What a spec is for, in a few words; the code that it names where it says none."""
    words = (getattr(spec, field, "") for field in SUMMARIES)
    return next((word for word in words if isinstance(word, str) and word), "")


def _plain(value: Any) -> Any:
    if isinstance(value, InputContract):
        return value.as_json()
    if isinstance(value, Requirement):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list | frozenset | set):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return f"{value.__module__}:{value.__qualname__}" if inspect.isroutine(value) else str(value)
