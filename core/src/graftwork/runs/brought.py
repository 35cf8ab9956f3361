"""What a run needs of plugins beside its encoder, task and head: optional steps, and added facts that it asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from graftwork.errors import RunError
from graftwork.plugins import registry
from graftwork.plugins.loading import installed
from graftwork.specs.contracts import InputContract

KINDS = {"convert": ("steps", "converts its examples by the optional step"), "facts": ("facts", "asks for the fact")}
"""For each part of run.json what plugins call it, and what a run does with it."""


def brought(contract: InputContract, convert: Iterable[str]) -> dict[str, list[dict[str, str]]]:
    """The optional steps of a fit, and the added facts that the contract of its data demands, each with the
    distribution that brings it."""
    demanded = {fact for fact, requirement in contract.facts.items() if requirement.demands}
    facts = [spec.name for spec in registry.added_facts(contract.modality) if spec.fact.name in demanded]
    return {"convert": [_of("steps", name) for name in convert], "facts": [_of("facts", name) for name in facts]}


def _of(kind: str, name: str) -> dict[str, str]:
    owner = installed().owner(kind, name)
    return {
        "name": name,
        "distribution": owner.distribution if owner else "",
        "version": owner.version if owner else "",
    }


def check_brought(path: Path, record: Mapping[str, Any]) -> None:
    """Raises `RunError` where a step or fact of the run is not here, or is another plugin's; `PluginConflict` where two
    plugins bring it."""
    plugins = installed()
    for part, (kind, does) in KINDS.items():
        for one in record[part]:
            name, distribution = one["name"], one["distribution"]
            plugins.get(kind, name)
            owner = plugins.owner(kind, name)
            if owner is not None and owner.distribution == distribution:
                continue
            here = f"here it is of {owner.distribution} {owner.version}" if owner else "which is not loaded here"
            raise RunError(
                f"'{path}' {does} '{name}' of {distribution} {one['version']}, {here}{plugins.disabled()}.",
                f"Install it: pip install {distribution}; what is loaded: graftwork plugins",
            )
