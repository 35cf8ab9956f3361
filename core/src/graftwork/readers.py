"""How a modality reads its data: the facts from a header, then the value itself.

A reader is loaded when data are read; it may import Pillow or soundfile, never torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from graftwork.contracts import Value


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


class Reader(ABC):
    """Reads the examples of one modality. Every method raises `Unreadable` for an example that it cannot read.

    items: what one example is called in the plural. units: the unit of each fact that has one.
    """

    items: ClassVar[str] = "files"
    units: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def facts(self, raw: Raw) -> Mapping[str, Value]:
        """The facts of one example, from its header where it has one."""

    @abstractmethod
    def decode(self, raw: Raw) -> Any:
        """The example's value as converters and `prepare` take it, as stored, nothing converted."""

    def size(self, raw: Raw) -> int:
        """How much there is to compute, in any unit, so that examples of like size can share a batch."""
        return 1

    def show(self, raw: Raw) -> str:
        """The example in a few words, for messages and predictions: its path, or the text itself."""
        return raw.name
