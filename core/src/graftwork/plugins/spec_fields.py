"""Whether the fields of a spec hold what their types say, so that a wrong one is told of its plugin when it registers.

A frozen dataclass takes any value; the first command that uses the field would fail far from the plugin.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints


def wrong_field(spec: Any) -> str:
    """The first field that holds a value of another type, in words; empty if there is none."""
    for name, wanted in _types(type(spec)).items():
        value = getattr(spec, name)
        if not _fits(value, wanted):
            return f"{name} is {_shown(value)}; accepted: {_words(wanted)}"
        for inner in value if isinstance(value, tuple) else (value,):
            if is_dataclass(inner) and not isinstance(inner, type) and (why := wrong_field(inner)):
                return f"{name}: {why}"
    return ""


@cache
def _types(spec: type) -> dict[str, Any]:
    hints = get_type_hints(spec)
    return {field.name: hints[field.name] for field in fields(spec)}


def _fits(value: Any, wanted: Any) -> bool:
    origin, inner = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is tuple:
        if not isinstance(value, tuple | list):
            return False
        each = inner[:1] * len(value) if inner[1:] == (...,) else inner
        return len(each) == len(value) and all(map(_fits, value, each))
    if origin in (Mapping, dict):
        return isinstance(value, Mapping) and all(_fits(k, inner[0]) and _fits(v, inner[1]) for k, v in value.items())
    if origin is Callable:
        return callable(value)
    if wanted is float:
        return isinstance(value, int | float)
    return isinstance(value, origin or wanted)


def _shown(value: Any) -> str:
    words = repr(value)
    return words if len(words) <= 40 else f"{words[:37]}..."


def _words(wanted: Any) -> str:
    if isinstance(wanted, type) and get_origin(wanted) is None:
        return "None" if wanted is types.NoneType else wanted.__name__
    return str(wanted).replace("collections.abc.", "").replace("typing.", "").replace("graftwork.specs.", "")
