"""Reads texts: as they stand in a table, or one text file per example."""

from __future__ import annotations

from collections.abc import Mapping

from graftwork import Raw, Reader, Unreadable


class TextReader(Reader):
    """Facts: `characters`, blanks at the ends not counted. A value is a `str`."""

    items = "texts"

    def facts(self, raw: Raw) -> Mapping[str, int]:
        return {"characters": len(self.decode(raw))}

    def decode(self, raw: Raw) -> str:
        text = self._text(raw).strip()
        if not text:
            raise Unreadable(f"'{raw.name}' is an empty text.")
        return text

    def size(self, raw: Raw) -> int:
        return len(raw.value) if isinstance(raw.value, str) else len(self._text(raw))

    def _text(self, raw: Raw) -> str:
        if isinstance(raw.value, str):
            return raw.value
        if raw.value is not None and not isinstance(raw.value, bytes):
            raise Unreadable(f"'{raw.name}' is a {type(raw.value).__name__}; text is accepted.")
        try:
            return raw.content().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Unreadable(f"'{raw.name}' is not UTF-8 text (byte {error.start}).") from error
        except OSError as error:
            raise Unreadable(f"'{raw.name}' cannot be opened: {error.strerror}.") from error
