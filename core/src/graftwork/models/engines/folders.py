"""What tells one engine's results from another's, and where it keeps compiled models."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from graftwork.models import measurements
from graftwork.plugins import registry
from graftwork.plugins.code_digest import core, made_by
from graftwork.runtime.compiled import compiled_folder
from graftwork.specs.backbone import BackboneSpec


def identity(name: str) -> dict[str, Any]:
    """What decides how an engine rounds, besides what decides how torch does."""
    spec = registry.engine(name)
    code = made_by(spec.factory) if not spec.factory.startswith("graftwork.") else ""  # the core's is counted anyway
    return {"name": name, "version": engine_version(name), "code": code, "flags": measurements.about()["flags"]}


def engine_version(name: str) -> str:
    """The version of the package that an engine needs; torch's own has none of its own."""
    needs = registry.engine(name).needs
    return version(needs) if needs else ""


def folder(name: str, spec: BackboneSpec, weights: str) -> Path:
    """Where an engine keeps compiled models of an encoder: of these weights, this code and these versions alone."""
    decides = [identity(name), torch.__version__, weights, core(), made_by(spec.factory), repr(spec.config)]
    return compiled_folder() / hashlib.blake2b(json.dumps(decides).encode(), digest_size=16).hexdigest()
