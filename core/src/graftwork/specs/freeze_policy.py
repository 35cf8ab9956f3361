"""Specs of freeze policies: which stages train, by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FreezePolicySpec:
    """A freeze policy by name.

    name: as --freeze takes it before the colon ("last"). factory: names `build(argument) -> FreezePolicy`; argument is
    what stands behind the colon ("2" of `last:2`), empty if nothing does. Raises `UsageError` for one that it does not
    take. summary: which stages train, in words.
    """

    name: str
    factory: str
    summary: str
