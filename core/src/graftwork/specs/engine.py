"""Specs of engines: what runs the frozen stages of an encoder, by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineSpec:
    """An engine by name.

    name: as --engine takes it. summary: what runs the stages, in words. factory: names a `graftwork.Engine` subclass,
    made without arguments. precisions: those that it computes in: "fp32", "bf16", "int8". devices: the types of torch
    devices that hold its input. needs: the package that it imports, if the plugin does not bring it; its version is
    part of the cache key. extra: the extra of graftwork that installs it.
    """

    name: str
    factory: str
    summary: str
    precisions: tuple[str, ...] = ("fp32",)
    devices: tuple[str, ...] = ("cpu",)
    needs: str = ""
    extra: str = ""
