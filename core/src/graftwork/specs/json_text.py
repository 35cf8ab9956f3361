"""JSON that others wrote: parsed only where it is not nested too deep, since parsers call themselves at each level."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import Any

from graftwork.specs.limits import VARIABLE, limits

_OTHERS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_PASSES = 8
"""Levels that are taken off before brackets are counted one by one, which is slower; few files have more."""


def parse_json(text: str | bytes, **options: Any) -> Any:
    """What a JSON text holds; options: as `json.loads` takes them.

    Raises `ValueError` for what is no JSON, also where it is nested deeper than `json_levels`.
    """
    most = limits().json_levels
    content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if is_deeper(content, most):
        raise ValueError(too_deep(most))
    try:
        return json.loads(text, **options)
    except RecursionError as error:  # the interpreter's own limit, where much of it is used already
        raise ValueError(too_deep(most)) from error


def too_deep(most: int) -> str:
    """The reason of a refusal, as the end of a sentence."""
    return f"its lists and objects are nested deeper than {most} levels ({VARIABLE}=json_levels={2 * most} allows more)"


def is_deeper(content: bytes, most: int) -> bool:
    """Whether lists and objects are nested deeper than `most` levels in a JSON text, or in one of several."""
    if content.count(b"[") + content.count(b"{") <= most:
        return False
    return _is_deeper(content, most) and _is_deeper(_STRING.sub(b"", content), most)


def _is_deeper(content: bytes, most: int) -> bool:
    """The same, brackets within strings counted too."""
    whole = signs = content.translate(None, _OTHERS)
    for _ in range(min(_PASSES, most)):  # each takes off the innermost level, at least
        signs = signs.replace(b"[]", b"").replace(b"{}", b"")
        if not signs:
            return False
    return any(level > most for level in accumulate(map(_STEPS.__getitem__, whole)))
