"""Reads texts: as they stand in a table, or one text file per example; what they are written in is observed, not fixed.

Bytes that are no UTF-8 stay in the text as lone surrogates (PEP 383), which the converter `decode` puts right.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import regex

from graftwork import Empty, Extent, Raw, Reader, Unreadable, Value, how_to_raise, limits, refusal

SNIPPET = 60
"""How many characters of a text stand for it in a message."""

SHORT = 100_000
"""Characters of a text of which no limit is looked up."""

EXCERPT = 400
"""And on a page."""

SCRIPTS = (
    "Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Han", "Hiragana", "Katakana", "Hangul", "Devanagari", "Bengali",
    "Tamil", "Telugu", "Thai", "Georgian", "Armenian", "Gujarati", "Gurmukhi", "Kannada", "Malayalam", "Sinhala",
    "Khmer", "Lao", "Myanmar", "Ethiopic", "Tibetan", "Mongolian",
)  # fmt: skip
"""The scripts that are told apart, by their Unicode names (UAX 24); any other is "other"."""

BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
# Control characters that text does not hold: all of C0 but tab, line and page breaks and escape.
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_ENCODED = re.compile(r"[\udc80-\udcff]")
_LATIN = re.compile(r"[A-Za-z]")
# Tags and comments, characters by name or number, addresses.
_MARKUP = re.compile(
    r"</?[A-Za-z!?][^<>]*>|&#?\w{1,31};|\b[a-z][a-z0-9+.-]{1,15}://[^\s<>]+|\bwww\.[^\s<>]+", re.IGNORECASE
)
_SIGNS = re.compile("<|\\&|://|www\\.")
"""One of these stands in every text that holds markup."""

LETTERS_LEFT = 0.2
"""A text is mostly markup where fewer of its letters and digits are left once markup is taken out. A message with a
link in it keeps more, a page's head or a bare address less."""


class TextReader(Reader):
    """Facts: `encoding` ("utf-8", "utf-16" by its byte order mark, else "latin-1"), `byte_order_mark` and
    `unicode_form` ("NFC" or "not NFC"), `characters` (blanks at the ends not counted), `script` (that of most letters;
    "none" without letters), `case` ("cased" where a letter is a capital, else "lower") and `markup` ("none", "some", or
    "mostly" where few letters are left without tags and addresses). Nothing is taken out.

    A value is a `str`.
    """

    items = "texts"

    def facts(self, raw: Raw) -> Mapping[str, Value]:
        return self.read(raw)[0]

    def extent(self, raw: Raw, facts: Mapping[str, Value]) -> Extent:
        """The text as stored, and its length in characters with the blanks at its ends."""
        text = self.decode(raw)
        return Extent(length=len(text), text=text)

    def decode(self, raw: Raw) -> str:
        stored, encoding = self._stored(raw)
        text = self._readable(raw, stored, encoding)
        return text if encoding == "utf-8" else stored

    def read(self, raw: Raw) -> tuple[Mapping[str, Value], str]:
        stored, encoding = self._stored(raw)
        text = self._readable(raw, stored, encoding)
        plain = text.isascii()
        facts: dict[str, Value] = {
            "encoding": encoding,
            "byte_order_mark": "present" if "\ufeff" in text else "none",
            "unicode_form": "NFC" if plain or unicodedata.is_normalized("NFC", text) else "not NFC",
            "characters": len(text),
            "script": ("Latin" if _LATIN.search(text) else "none") if plain else script(text),
            "case": "lower" if text == text.lower() else "cased",
            "markup": markup(text),
        }
        return facts, text if encoding == "utf-8" else stored

    def size(self, raw: Raw) -> int:
        return len(self._stored(raw)[0])

    def show(self, raw: Raw) -> str:
        if raw.path is not None:
            return raw.name
        text = " ".join(readable(self._stored(raw)[0]).split()) if isinstance(raw.value, (str, bytes)) else raw.name
        if not text.isprintable():
            text = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
        text = text or raw.name
        return text if len(text) <= SNIPPET else f"{text[: SNIPPET - 1]}…"

    def text(self, raw: Raw) -> str:
        text = readable(self._stored(raw)[0])
        return text if len(text) <= EXCERPT else f"{text[: EXCERPT - 1]}…"

    def digest(self, raw: Raw) -> bytes:
        text = self._readable(raw, *self._stored(raw))
        return hashlib.blake2b(unicodedata.normalize("NFC", text).encode(), digest_size=16).digest()

    def _readable(self, raw: Raw, stored: str, encoding: str) -> str:
        """The text as it will be once decoded."""
        if len(stored) > SHORT and len(stored) > limits().text_characters:
            raise Unreadable(
                f"'{raw.name[:SNIPPET]}' is a text of {len(stored):,} characters; at most {limits().text_characters:,} "
                "are read.",
                how_to_raise("text_characters", len(stored)),
            )
        text = (stored if encoding == "utf-8" else recode(stored, encoding)).strip()
        if not text.strip("\ufeff"):
            raise Empty(f"'{raw.name}' is an empty text.")
        if found := _NO_TEXT.search(text):
            sentence = f"'{self.show(raw)}' is not text: it holds the control character {ord(found[0]):#04x}."
            raise refusal(raw, "text", ("text",)) or Unreadable(sentence)
        return text

    def _stored(self, raw: Raw) -> tuple[str, str]:
        if isinstance(raw.value, str):
            return raw.value, "latin-1" if _ENCODED.search(raw.value) else "utf-8"
        if raw.value is not None and not isinstance(raw.value, bytes):
            raise Unreadable(f"'{raw.name}' is a {type(raw.value).__name__}; text is accepted.")
        try:
            content = raw.content()
        except OSError as error:
            raise Unreadable(f"'{raw.name}' cannot be opened: {error.strerror}.") from error
        if raw.path is not None and _may_stand_in(raw.path, content) and (error := refusal(raw, "text", ("text",))):
            raise error
        encoding = BOMS.get(content[:2])
        try:
            return content.decode("utf-8-sig"), encoding or "utf-8"
        except UnicodeDecodeError:
            return content.decode("utf-8", "surrogateescape"), encoding or "latin-1"


def _may_stand_in(path: Path, content: bytes) -> bool:
    """Whether a file that holds letters alone may be no text: a PDF or RTF document, a Git LFS pointer, a link."""
    link = len(content) <= 1024 and path.suffix and content.lower().endswith(path.suffix.lower().encode())
    return bool(link) or content.startswith((b"%PDF-", b"{\\rtf", b"version http"))


def recode(text: str, encoding: str) -> str:
    """A text whose bytes were kept as lone surrogates, read in the encoding that they are in.

    "latin-1" is Windows-1252, as the WHATWG Encoding Standard has it, and ISO 8859-1 where a byte has no meaning there.
    """
    stored = text.encode("utf-8", "surrogateescape")
    if encoding != "latin-1":
        return stored.decode(encoding, errors="replace")
    try:
        return stored.decode("cp1252")
    except UnicodeDecodeError:
        return stored.decode("latin-1")


def readable(text: str) -> str:
    """A text that can be shown, whatever bytes it was read from."""
    return recode(text, "latin-1") if _ENCODED.search(text) else text


def markup(text: str) -> str:
    """How much of a text is tags, comments, character references and addresses: "none", "some" or "mostly"."""
    if not _SIGNS.search(text):
        return "none"
    left, found = _MARKUP.subn(" ", text)
    if not found:
        return "none"
    return "mostly" if _letters(left) < LETTERS_LEFT * _letters(text) else "some"


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def script(text: str) -> str:
    """The script of most of the letters."""
    found = Counter(_script_of(letter) for letter in text if letter.isalpha())
    return max(sorted(found), key=found.__getitem__) if found else "none"


@cache
def _script_of(letter: str) -> str:
    return next((name for name in SCRIPTS if regex.match(rf"\p{{Script={name}}}", letter)), "other")
