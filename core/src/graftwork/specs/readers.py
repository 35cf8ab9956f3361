"""How a modality reads its data: the facts from a header, then the value itself.

A reader is loaded when data are read; it may import Pillow or soundfile, never torch.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from graftwork.specs.contracts import Value


@dataclass(frozen=True)
class Raw:
    """One example as it was given: a file (`path`), or what is in memory already (`value`: text, bytes, an object)."""

    name: str
    path: Path | None = None
    value: Any = None

    def content(self) -> bytes:
        """The encoded bytes of the file, wherever they are."""
        if isinstance(self.value, bytes):
            return self.value
        assert self.path is not None, f"'{self.name}' is neither a file nor bytes"
        return self.path.read_bytes()


@dataclass(frozen=True)
class Window:
    """A part of a value that is too long to be read at once; `share` is how much of it this part stands for, 0 to 1."""

    value: Any
    weight: float


class Reader(ABC):
    """Reads the examples of one modality. Every method raises `Unreadable` for an example that it cannot read.

    items: what one example is called in the plural.
    """

    items: ClassVar[str] = "files"

    @abstractmethod
    def facts(self, raw: Raw) -> Mapping[str, Value]:
        """A value for every fact that the modality declares, from the header where it has one. Raises `Empty` too."""

    @abstractmethod
    def decode(self, raw: Raw) -> Any:
        """The example's value as converters and `prepare` take it, as stored, nothing converted."""

    def prepare_decode(self, preparation: Mapping[str, Any]) -> None:  # noqa: B027  most readers have nothing to spare
        """Called before values are decoded for an encoder, with how it prepares them: a reader may spare what would be
        thrown away, where features agree with those of the whole."""

    def read(self, raw: Raw) -> tuple[Mapping[str, Value], Any]:
        """The facts and the value, for readers that can have both at the price of one."""
        return self.facts(raw), self.decode(raw)

    def size(self, raw: Raw) -> int:
        """How much there is to compute, in any unit, so that examples of like size can share a batch."""
        return 1

    def memory(self, value: Any) -> int:
        """The bytes that a decoded value takes."""
        return sys.getsizeof(value)

    def show(self, raw: Raw) -> str:
        """The example in a few words, for messages and predictions: its path, or the text itself."""
        return raw.name

    def digest(self, raw: Raw) -> bytes:
        """What is the same for two examples that hold the same: of the encoded bytes, unless a reader knows better."""
        return _digest(raw.content())

    def identity_digest(self, raw: Raw) -> bytes:
        """What differs wherever anything of an example as it was given does, even what makes no difference."""
        if isinstance(raw.value, str):
            return _digest(raw.value.encode("utf-8", "surrogatepass"), person=b"text")
        if raw.value is None or isinstance(raw.value, bytes):
            return _digest(raw.content())
        return self.digest(raw)

    def picture(self, raw: Raw) -> bytes | None:
        """The example as a small PNG or JPEG for a page; None where its words show it."""
        return None


class Likeness(ABC):
    """Finds near duplicates of one modality by signatures: rows of whole numbers that are alike for like examples.

    A signature is compared with those that equal it in at least one of `bands` equal slices; two examples are near
    duplicates when `alike` puts them at `least` or more.
    """

    bands: ClassVar[int]
    threshold: ClassVar[float]

    @abstractmethod
    def signature(self, raw: Raw) -> Any:
        """A numpy row `(S,)` of whole numbers, or None for an example with too little in it to be like another."""

    @abstractmethod
    def similarity(self, one: Any, other: Any) -> Any:
        """How alike the signatures `(M, S)` and `(M, S)` are, row by row: `(M,)`, 0 to 1."""


def _digest(content: bytes, person: bytes = b"") -> bytes:
    from hashlib import blake2b  # loads OpenSSL, which listing need not

    return blake2b(content, digest_size=16, person=person).digest()
