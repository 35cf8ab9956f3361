"""Specs of loggers: where the numbers of a training go, by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LoggerSpec:
    """A logger by name.

    name: as --logger takes it. summary: where the numbers go, in words. factory: names a `graftwork.Logger` subclass,
    made without arguments. needs: the package that it imports, if the plugin does not bring it. extra: the extra of
    graftwork that installs it.
    """

    name: str
    factory: str
    summary: str
    needs: str = ""
    extra: str = ""
