"""What this machine was seen to be fast at, remembered: one JSON file beside the feature store.

Times differ from one measurement to the next and choices that hang on them would too, so each is made once: the first
process that wrote a measurement has decided for all that follow, until the machine or a library changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from graftwork.plugins import registry
from graftwork.runtime import cpu
from graftwork.runtime.cache_folder import cache_folder
from graftwork.runtime.locks import locked

FORMAT = 1

_here: dict[tuple[str, str, str], Any] = {}
"""What this process measured or read, by file, fingerprint and name; all that is kept where no file can be."""


def file() -> Path:
    return cache_folder() / "machine.json"


def about() -> dict[str, Any]:
    """What a measurement is true of: the processor, how much of it is used, and the versions of what computes."""
    name, flags = cpu.processor()
    needed = sorted({spec.needs for spec in registry.engines() if spec.needs})
    return {
        "processor": name,
        "flags": sorted(flags & {flag for any_of in cpu.CAPABILITIES.values() for flag in any_of}),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": cpu.usable_cores(),
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, **{name: found for name in needed if (found := _version(name))}},
    }


def fingerprint() -> str:
    return hashlib.blake2b(json.dumps(about(), sort_keys=True).encode(), digest_size=8).hexdigest()


def remembered(name: str) -> dict[str, Any] | None:
    """The measurement of this name that was made on this machine, if any."""
    place = (str(file()), fingerprint(), name)
    if place not in _here:
        kept = _read().get(place[1], {}).get("measured", {}).get(name)
        if not isinstance(kept, dict):
            return None
        _here[place] = kept
    return _here[place]


def measured_once(name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The measurement of this name: the one that is remembered, else made now and kept."""
    found = remembered(name)
    if found is None:
        found = _here[str(file()), fingerprint(), name] = _keep(name, measure())
    return found


def listed() -> tuple[dict[str, Any], int]:
    """All measurements of this machine by name, and of how many other machines or versions there are some."""
    mine, found = fingerprint(), _read()
    here = {name: kept for (place, one, name), kept in _here.items() if (place, one) == (str(file()), mine)}
    return {**found.get(mine, {}).get("measured", {}), **here}, len(found.keys() - {mine})


def damaged() -> bool:
    """Whether there is a file that cannot be read; it is made anew with the next measurement."""
    return file().exists() and not _read()


def _read() -> dict[str, Any]:
    """By fingerprint, `{"machine", "measured"}`; nothing of a file that is damaged or of another format."""
    try:
        found = json.loads(file().read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            return {}
        return {key: one for key, one in found["machines"].items() if isinstance(one.get("measured"), dict)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _keep(name: str, measured: dict[str, Any]) -> dict[str, Any]:
    """The measurement as kept: another's, where one was there first."""
    try:
        file().parent.mkdir(parents=True, exist_ok=True)
        with locked(file().with_suffix(".lock")):
            machines = _read()
            mine = machines.setdefault(fingerprint(), {"machine": about(), "measured": {}})
            if isinstance(mine["measured"].get(name), dict):
                return mine["measured"][name]
            mine["measured"][name] = measured
            words = json.dumps({"format": FORMAT, "machines": machines}, indent=1, sort_keys=True)
            handle, made = tempfile.mkstemp(dir=file().parent, prefix=".machine-")
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                out.write(words)
            Path(made).replace(file())
    except OSError:  # nothing can be kept; it holds for this process
        pass
    return measured


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
