"""`graftwork doctor`: whether this environment works, and what mends it."""

from __future__ import annotations

from typing import Any

import typer

from graftwork.cli.options import Json
from graftwork.cli.terminal import answer, steady, table, tell

SHOWN = ("torch", "torchvision", "torchaudio", "transformers", "datasets", "numpy", "scikit-learn")
"""The libraries whose versions people ask for; --json has all."""


def doctor(json: Json = False) -> None:
    """Versions, plugins, extras, devices and the feature store; exit 1 when something is broken."""
    with steady():
        from graftwork.plugins.doctor import examined

        found = examined()
    answer(found, render, json)
    if not found["ok"]:
        raise typer.Exit(1)


def render(found: dict[str, Any]) -> None:
    """What is there, then what is missing and the command that brings it, then what is broken."""
    versions, machine, store = found["versions"], found["machine"], found["store"]
    libraries = ", ".join(f"{name} {versions[name] or '(missing)'}" for name in SHOWN if name in versions)
    tell(f"Python {found['python']['version']} ({found['python']['executable']})")
    tell(f"graftwork {versions['graftwork']}; {libraries}")
    instructions = f"; {', '.join(machine['instructions'])}" if machine["instructions"] else ""
    threads = f", torch uses {machine['threads']} threads" if machine["threads"] else ""
    tell(f"Processor: {machine['processor'] or machine['system']}, {machine['cores']} cores{threads}{instructions}")
    if machine["memory"] is not None:
        tell(f"Memory: {_gigabytes(machine['memory'])}, {_gigabytes(machine['free_memory'])} free")
    gpus = [f"{gpu['name']}, {_gigabytes(gpu['memory'])}" for gpu in machine["gpus"]] or ["Apple's"] * machine["mps"]
    tell(f"GPU: {'; '.join(gpus) or 'none that torch can use'}")
    free = f", {_gigabytes(store['free'])} free" if store["free"] is not None else ""
    tell(f"Feature store: {store['folder']}{free}")
    table(
        ["plugin", "distribution", "version", "status"],
        [[one["name"], one["distribution"], one["version"], one["status"]] for one in found["plugins"]],
    )
    there = [one["name"] for one in found["extras"] if one["installed"]]
    tell(f"Extras that are installed: {', '.join(there) or 'none'}")
    for one in found["extras"]:
        if not one["installed"]:
            missing = ", ".join(one["missing"])
            tell(f"{one['name']} is not installed ({missing}). Install it: {one['install']}")
    for note in found["notes"]:
        tell(f"Note: {note}")
    for problem in found["problems"]:
        tell(f"Broken: {problem['message']} {problem['hint']}")
    if found["ok"]:
        tell("Everything that is needed is there.")
        tell("Next: graftwork demo")
    else:
        tell("Next: mend the first that is broken, then: graftwork doctor")


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"
