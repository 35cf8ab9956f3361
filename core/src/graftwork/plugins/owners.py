"""Whose code a fault is in: the frames of a traceback are matched with the packages of the installed plugins."""

from __future__ import annotations

import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import PurePath
from types import FrameType
from typing import Any, NamedTuple

from graftwork.plugins.report import HEAVY, PluginReport

CORE = "graftwork"
SHARED = {*HEAVY, "numpy", *sys.stdlib_module_names}
"""Packages that a factory may name and that are still nobody's plugin."""

FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class Fault(NamedTuple):
    """Where a plugin failed. hook: the function of it that Graftwork called. place: `package/file.py:line`, the last
    line of the plugin that ran."""

    report: PluginReport
    hook: str
    place: str


def factories(spec: Any) -> list[str]:
    """The code that a spec names as `module:attribute`."""
    values = (getattr(spec, field.name) for field in fields(spec))
    return [value for value in values if isinstance(value, str) and FACTORY.fullmatch(value)]


def claimed(*code: str) -> frozenset[str]:
    """The packages of modules or factories, but those that everybody uses."""
    return frozenset(re.split("[.:]", name)[0] for name in code if name) - SHARED


def blamed(error: BaseException, reports: Iterable[PluginReport]) -> Fault | None:
    """The plugin that an error comes from: the last one that Graftwork called; None where it called none.

    What a plugin calls is its own matter, so an error of a library is the plugin's that called the library.
    """
    plugins = [report for report in reports if CORE not in claimed(report.module)]
    found: Fault | None = None
    entered = False
    for module, frame, line in _frames(error):
        if module.partition(".")[0] == CORE:
            entered = False
            continue
        owner = _owner(module, plugins)
        if owner is None or (entered and found is not None and owner is not found.report):
            continue
        hook = found.hook if entered and found is not None else _hook(frame)
        found, entered = Fault(owner, hook, f"{_file(module, frame)}:{line}"), True
    return found


def is_of_library(error: BaseException) -> bool:
    """Whether a library raised it, in Python or in Rust, and no line of ours. What ends the process on purpose is no
    fault.
    """
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
        return False
    last = deque(_frames(error), maxlen=1)
    return type(error).__module__ == "pyo3_runtime" or (bool(last) and last[0][0].partition(".")[0] != CORE)


def line_in(error: BaseException, report: PluginReport) -> str:
    """The end of a sentence that says where a plugin's module or hook failed; empty where that is not known."""
    found = blamed(error, [report])
    return f" ({found.place})" if found else ""


def _frames(error: BaseException) -> Iterator[tuple[str, FrameType, int]]:
    """The module, frame and line of each call on the way to an error, the outermost first."""
    trace = error.__traceback__
    while trace is not None:
        yield str(trace.tb_frame.f_globals.get("__name__", "")), trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _owner(module: str, plugins: list[PluginReport]) -> PluginReport | None:
    """The plugin of a module; where several share its package, the one whose hooks are nearest."""
    package = module.partition(".")[0]
    sharing = [report for report in plugins if package in report.packages]
    return max(sharing, key=lambda report: _shared(module, report.module), default=None)


def _shared(one: str, other: str) -> int:
    """How many parts two dotted names share from the first on."""
    pairs = zip(one.split("."), other.split("."), strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), one.count(".") + 1)


def _hook(frame: FrameType) -> str:
    return "its import" if frame.f_code.co_name == "<module>" else frame.f_code.co_qualname


def _file(module: str, frame: FrameType) -> str:
    """The file of a frame from its package on: where it is installed says nothing of the fault."""
    parts = PurePath(frame.f_code.co_filename).parts
    return "/".join(parts[parts.index(top) :] if (top := module.partition(".")[0]) in parts else parts[-1:])
