"""Specs of freeze policies: which stages train, by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FreezePolicySpec:
    """A freeze policy by name; `factory` names `build(argument) -> FreezePolicy`."""

    name: str
    factory: str
    summary: str
