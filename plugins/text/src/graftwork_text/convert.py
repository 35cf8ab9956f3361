"""The bodies of the text converters: `str` in, `str` out."""

from __future__ import annotations

import unicodedata

from graftwork import Value
from graftwork_text.reader import recode


def decode(text: str, seen: Value, to: Value) -> str:
    """The text of bytes that were stored in the encoding `seen`, blanks at the ends left out."""
    return recode(text, str(seen)).strip()


def strip_mark(text: str, seen: Value, to: Value) -> str:
    """Without the byte order marks (U+FEFF) that joined files and exports leave behind."""
    return text.replace("\ufeff", "").strip()


def compose(text: str, seen: Value, to: Value) -> str:
    """Unicode normalization form C (UAX 15): a letter and its accent become the one character that they are."""
    return unicodedata.normalize("NFC", text)


def lower(text: str, seen: Value, to: Value) -> str:
    """Small letters for capitals, letter by letter, as BERT's tokenizers do (no final sigma)."""
    return text.lower() if text.isascii() else "".join(map(str.lower, text))
