"""Whether a run's files are those that were written: digests of its head and of its record, and the record's shape."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from graftwork.freeze.freezing import combined, tensor_digest

KEY = "integrity"
FREE = (KEY, "backbone")
"""What may change: an encoder may move to another folder, and its weights have a digest of their own."""

Shape = Any
"""A type or several, a list with the shape of its items, a dict with the shapes of its keys (`str`: of all; with "?" of
one that may be missing)."""

BROUGHT = {"name": str, "distribution": str, "version": str}
"""A step or fact that another plugin brings, see `graftwork.runs.brought`."""

SHAPE: Mapping[str, Shape] = {
    "task": str, "target_transform": str, "backbone": str, "modality": str, "adapter": str, "tap": str,
    "convert": [BROUGHT], "facts": [BROUGHT],
    "feature_dim": (int, dict), "freeze": str, "head": str, "options": dict, "seed": int,
    "engine": {"used": str, "calibration?": str},
    "labels": {str: {str: int}}, "targets": {"names": [str], "temperature?": float},
    "contract": {"modality": str, "facts": dict, "preparation": dict},
    "data": {"name": str, "observed": dict, "left_out": list, "input": str, "label": [str], "rules": dict},
    "long": {"mode": str}, "agreement": {"steps": [{"converter": str, "fact": str}]}, "warnings": [str],
    "metrics": dict, "headline": str, "training": dict, "n_train": int, "n_val": int, "n_test": int,
    "adapted": {str: int}, "precision": {"used": str}, "weights_digest": str, "versions": dict, "depths": [dict],
    "taps": [dict], "tried": [dict],
    "certificate": {"ok": bool, "moved": [str], "leaked": [str],
                    "stages": {str: {"before": str, "after": str, "trained": [str], "frozen": int}}},
}  # fmt: skip
"""What `graftwork.runs.record` writes, as far as a run that is loaded is asked for it."""


def sealed(record: Mapping[str, Any], head: Mapping[str, Tensor]) -> dict[str, Any]:
    """A record with the digests of the head's tensors and of all that it says, as run.json has it."""
    kept = json.loads(json.dumps({name: value for name, value in record.items() if name != KEY}))
    return {**kept, KEY: {"head": _head(head), "record": _record(kept)}}


def difference(record: Mapping[str, Any], head: Mapping[str, Tensor]) -> str:
    """What of a run is not as it was written, in words; empty if nothing is."""
    said = record.get(KEY)
    if not isinstance(said, dict):
        return f"run.json has no '{KEY}'"
    if said.get("record") != _record(record):
        return "run.json is not as it was written"
    if said.get("head") != _head(head):
        return "head.safetensors is not the head that it was written with"
    if wrong := misfit(record, SHAPE):
        return f"run.json: {wrong}"
    for name, tensor in head.items():
        if not bool(tensor.isfinite().all()):
            return f"'{name}' of its head holds numbers that are not finite"
    return ""


def misfit(value: Any, shape: Shape, place: str = "") -> str:
    """Where a value has not the shape that it should have, and what it is; empty if it has."""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _is(place, value, "a list")
        return next((found for at, one in enumerate(value) if (found := misfit(one, shape[0], f"{place}[{at}]"))), "")
    if isinstance(shape, Mapping):
        if not isinstance(value, dict):
            return _is(place, value, "an object")
        known = dict.fromkeys(value, shape[str]) if str in shape else shape
        for word, inner in known.items():
            name = word.removesuffix("?") if inner is not shape.get(str) else word
            if name in value and (found := misfit(value[name], inner, _below(place, name))):
                return found
            if name not in value and name == word:
                return f"'{_below(place, name)}' is missing"
        return ""
    wanted = shape if isinstance(shape, tuple) else (shape,)
    if type(value) not in wanted or (type(value) is float and not math.isfinite(value)):
        return _is(place, value, " or ".join(WORDS[one] for one in wanted))
    return ""


WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}


def _is(place: str, value: Any, wanted: str) -> str:
    shown = json.dumps(value)
    return f"'{place}' is {shown[:40]}{'…' * (len(shown) > 40)}, not {wanted}"


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _head(head: Mapping[str, Tensor]) -> str:
    return combined({name: tensor_digest(tensor) for name, tensor in head.items()})


def _record(record: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in record.items() if name not in FREE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
