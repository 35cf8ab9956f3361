"""Whether this environment works: versions, extras, plugins, devices, the feature store; what is wrong, and the command
that mends it.

Nothing heavy is imported here: libraries are tried in a process of their own.
"""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graftwork.errors import ConfigError
from graftwork.plugins.config import file_in_use
from graftwork.plugins.loading import Plugins, installed, unloaded
from graftwork.plugins.report import HEAVY
from graftwork.plugins.requirements import direct, extras, unmet, version_of
from graftwork.runtime import cpu
from graftwork.runtime.cache_folder import store_folder
from graftwork.runtime.installing import install_command
from graftwork.runtime.probe import Probed, probe

NVIDIA = Path("/proc/driver/nvidia/gpus")
"""The folder of GPUs that NVIDIA's driver makes on Linux."""

LITTLE = 10**9
"""Bytes of free space below which a feature store is soon full."""


@dataclass(frozen=True)
class Trouble:
    """What does not work, and the command that mends it.

    kind: "config", "import", "plugin", "requirement" or "store".
    """

    kind: str
    message: str
    hint: str


def examined() -> dict[str, Any]:
    """`{"ok", "python", "versions", "plugins", "extras", "machine", "store", "problems", "notes"}`, as JSON values.

    Sizes are in bytes. A version is None where a package is required and not installed.
    """
    troubles: list[Trouble] = []
    plugins = _plugins(troubles)
    ours = sorted({"graftwork", *(report.distribution for report in plugins.reports)})
    required = direct(ours)
    troubles += _requirements([*ours, *(name for name in HEAVY if name in required)])
    probed = probe([name for name in HEAVY if name in required and version_of(name)])
    troubles += [
        Trouble(
            "import",
            f"{name} {version_of(name)} cannot be imported: {why}.",
            f"Install it anew: {install_command([required[name]], again=True)}",
        )
        for name, why in probed.failed.items()
    ]
    store, notes = _store(troubles), list(plugins.notes)
    if store["free"] is not None and store["free"] < LITTLE:
        notes.append(
            f"Only {store['free'] / 1e6:,.0f} MB are free for the feature store; move it: GRAFTWORK_CACHE=FOLDER"
        )
    notes += [f"{report.name}: {' '.join(report.warnings)}" for report in plugins.reports if report.warnings]
    machine = _machine(probed)
    if machine["unused_gpu"]:
        notes.append(
            f"This machine has an NVIDIA GPU, and torch {version_of('torch')} (built for {machine['torch_built_for']}) "
            "cannot use it; the torch that can: https://pytorch.org/get-started/locally"
        )
    return {
        "ok": not troubles,
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "versions": {name: version_of(name) for name in [*ours, *sorted(required.keys() - set(ours))]},
        "plugins": [
            {"name": one.name, "distribution": one.distribution, "version": one.version, "status": one.status}
            for one in plugins.reports
        ],
        "extras": [
            {
                "name": one.words,
                "installed": not one.missing,
                "missing": list(one.missing),
                "install": install_command([one.words]) if one.missing else None,
            }
            for one in extras(ours)
        ],
        "machine": machine,
        "store": store,
        "problems": [vars(trouble) for trouble in troubles],
        "notes": notes,
    }


def _plugins(troubles: list[Trouble]) -> Plugins:
    try:
        found = installed()
    except ConfigError as error:
        troubles.append(Trouble("config", error.message, error.hint))
        return unloaded(file_in_use())
    for report in found.reports:
        if report.errors:
            who = f"The plugin '{report.name}' ({report.distribution} {report.version})"
            mend = f"Update or uninstall {report.distribution}, or disable it in '{file_in_use()}'."
            troubles.append(Trouble("plugin", f"{who} is broken. {' '.join(report.errors)}", mend))
    return found


def _requirements(names: Iterable[str]) -> list[Trouble]:
    """One command brings all that is missing, since packages that must fit each other are chosen together."""
    found = unmet(names)
    command = install_command(dict.fromkeys(one.requirement for one in found))
    return [Trouble("requirement", one.words, f"Install what fits: {command}") for one in found]


def _machine(probed: Probed) -> dict[str, Any]:
    name, flags = cpu.processor()
    try:
        import psutil

        memory = psutil.virtual_memory()
        total, free = int(memory.total), int(memory.available)
    except Exception:  # it is a requirement, which is reported where it is missing
        total = free = None
    gpus = probed.devices.get("gpus", [])
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": name,
        "instructions": [words for flag, words in cpu.INSTRUCTIONS.items() if flag in flags],
        "cores": cpu.usable_cores(),
        "threads": probed.devices.get("threads"),
        "memory": total,
        "free_memory": free,
        "gpus": gpus,
        "mps": probed.devices.get("mps", False),
        "torch_built_for": probed.devices.get("built_for"),
        "unused_gpu": bool(probed.devices) and not gpus and NVIDIA.is_dir(),
    }


def _store(troubles: list[Trouble]) -> dict[str, Any]:
    """Where the feature store lies, or will. A file is written to the nearest folder that exists, and removed."""
    folder = store_folder()
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free, writable = None, True
    try:
        free = shutil.disk_usage(there).free
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        writable = False
        troubles.append(
            Trouble(
                "store",
                f"The feature store '{folder}' cannot be written: {error.strerror or error}.",
                "Name another folder: GRAFTWORK_CACHE=FOLDER",
            )
        )
    return {"folder": str(folder), "writable": writable, "free": free}
