"""Names, labels and texts of the data as words: nothing in them steers a terminal, a page or the order of letters."""

from __future__ import annotations

import html
import json
import math
import re
from typing import Any

STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1, but for tabs and line ends
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # what turns the direction of letters, and ends of lines
    "\ud800-\udfff]"  # halves of characters, which no encoding takes: bytes of file names that are not UTF-8
)


def visible(words: str) -> str:
    """Words for people: characters that would steer what shows them, as Python writes them."""
    return STEERING.sub(lambda found: repr(found[0])[1:-1], words)


def json_text(value: Any, encoding: str = "utf-8") -> str:
    """A value as a JSON document in an encoding; the same characters are written as JSON's own escapes, and a number
    that is not finite, for which JSON has no word, as null.
    """
    try:
        words = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    except ValueError:
        value = _finite(value)
        words = json.dumps(value, ensure_ascii=False, indent=2)
    words = STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", words)
    try:
        words.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(value, indent=2)
    return words


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


SYNTAX = re.compile(
    r"[\\`*_\[\]{}|~$#]"  # code, emphasis, links and pictures, cells, strikes, formulas, headings
    r"|:(?=//)|:(?=\w+:)|(?<=\bwww)\."  # addresses, which some readers make links of, and names of pictures
    r"|^[-+=]|(?<=^\d)[.)](?=\s|$)|(?<=^\d\d)[.)](?=\s|$)",  # items of lists, lines
    re.IGNORECASE,
)


def markdown(words: str) -> str:
    """Words as a part of a line of Markdown that shows them as they are: no markup, no end of a cell or line."""
    line = html.escape(visible(" ".join(words.split())), quote=False)
    return SYNTAX.sub(lambda found: f"\\{found[0]}", line)
