"""Examples on a page: a picture, a sound or some words of each, as the reader of their modality gives them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from graftwork.errors import DataError, Unreadable
from graftwork.specs.agreement import Agreement
from graftwork.specs.readers import Raw, Reader

MEDIA = 2_000_000
"""The most bytes of pictures and sounds of a page; an example beyond them is named only."""

LOOKED_AT = 20_000
"""Among how many examples those are looked for that a conversion names."""


@dataclass(frozen=True)
class ShownExample:
    """An example with its answer. true, said: the label and the answer in words; note: how sure or how wrong it is.
    raw: to show it; None where it cannot be read again. html: it as the task draws it, escaped by the task."""

    name: str
    raw: Raw | None = None
    true: str = ""
    said: str = ""
    note: str = ""
    html: str = ""

    def as_json(self) -> dict[str, str]:
        return {"name": self.name, "true": self.true, "said": self.said, "note": self.note}


@dataclass(frozen=True)
class Shown:
    """What a report shows of examples besides the record. worst: those with bad answers. named: those that conversions
    name."""

    worst: Sequence[ShownExample] = ()
    reader: Reader | None = None
    named: Mapping[str, Raw] = field(default_factory=dict)


class Viewer:
    """Gives pages what can be seen and heard of examples, until a page is full.

    budget: in bytes.
    """

    def __init__(self, reader: Reader | None, budget: int = MEDIA) -> None:
        self._reader, self._left = reader, budget

    def picture(self, raw: Raw | None) -> bytes | None:
        return self._take("picture", raw)

    def sound(self, raw: Raw | None) -> bytes | None:
        return self._take("sound", raw)

    def text(self, raw: Raw | None) -> str | None:
        if self._reader is None or raw is None:
            return None
        with suppress(Unreadable, DataError):
            return self._reader.text(raw)
        return None

    def _take(self, what: str, raw: Raw | None) -> bytes | None:
        if self._reader is None or raw is None:
            return None
        with suppress(Unreadable, DataError):
            found = getattr(self._reader, what)(raw)
            if found is not None and len(found) <= self._left:
                self._left -= len(found)
                return found
        return None


def named(reader: Reader, raws: Sequence[Raw], agreement: Agreement | None) -> dict[str, Raw]:
    """The examples that an agreement names, as far as they have pictures and are among the first of these."""
    if agreement is None or type(reader).picture is Reader.picture:
        return {}
    wanted, found = {step.example for step in (*agreement.steps, *agreement.left_out)}, {}
    for place in range(min(len(raws), LOOKED_AT)):
        if not wanted:
            break
        with suppress(DataError):
            raw = raws[place]
            if raw.name in wanted:
                wanted.remove(raw.name)
                found[raw.name] = raw
    return found


def data_url(content: bytes) -> str:
    """A picture or a sound as the address of itself."""
    kinds: dict[bytes, str] = {
        b"\x89PNG": "image/png",
        b"fLaC": "audio/flac",
        b"RIFF": "audio/wav",
        b"OggS": "audio/ogg",
    }
    kind = kinds.get(content[:4], "image/jpeg")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def drawn(html: Any) -> Markup:
    """What a task drew as HTML: the one place that takes markup as it is, since `draw` escapes what the data hold."""
    return Markup(html)
