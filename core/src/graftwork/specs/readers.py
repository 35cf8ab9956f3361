"""How a modality reads its data: the facts from a header, then the value itself.

A reader is loaded when data are read; it may import Pillow or soundfile, never torch.
"""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar

from graftwork.errors import Unreadable
from graftwork.specs.annotations import Extent
from graftwork.specs.contracts import Value
from graftwork.specs.example_files import files_of_folder
from graftwork.specs.plain_files import check_plain, check_readable
from graftwork.specs.returns import Checked

SMALL = 2**24
"""Bytes of a file that is read at once for its digest; a larger one is read in blocks."""


@dataclass(frozen=True)
class Raw:
    """One example as given: a file or a folder (`path`), or a value in memory (`value`: text, bytes, an object).

    part: the seconds from and to of the clip that the example is; None for all of it. Only readers with `reads_parts`
    are given one. companions: the files beside `path` that belong to the example, see `Modality.companions`.
    """

    name: str
    path: Path | None = None
    value: Any = None
    part: tuple[float, float] | None = None
    companions: tuple[Path, ...] = ()

    @property
    def is_folder(self) -> bool:
        return self.value is None and self.path is not None and os.path.isdir(self.path)  # noqa: PTH112  as below

    def files(self) -> list[Raw]:
        """The files of which the example is made, each as an example by itself: of a folder those at any depth, named
        from the folder's name on, `frame2` before `frame10`; of any other example the example, then its companions.

        Raises `Empty` for a folder without files, `Unreadable` where nothing is there, where a file is a pipe, a device
        or a link that leads nowhere, and for more than `folder_files`.
        """
        if self.value is not None or self.path is None:
            return [replace(self, companions=())]
        if self.is_folder:
            inside = files_of_folder(self.path, self.name)
            return [Raw(f"{self.name}/{path.relative_to(self.path).as_posix()}", path) for path in inside]
        if not os.path.exists(self.path):  # noqa: PTH110  pathlib's raises for a very long one
            raise Unreadable(f"'{self.name}' does not exist.", "Mend its path, or leave it out.")
        folder = self.name[: len(self.name) - len(self.path.name)]
        return [replace(self, companions=()), *(Raw(f"{folder}{path.name}", path) for path in self.companions)]

    def content(self) -> bytes:
        """The encoded bytes, from memory or from the file: of a folder and of companions, `files` has each.

        Raises `Unreadable` for what is no plain file, and for one that is too large, `OSError` for a folder.
        """
        if isinstance(self.value, bytes):
            return self.value
        assert self.path is not None, f"'{self.name}' is neither a file nor bytes"
        check_readable(self.path, self.name)
        return self.path.read_bytes()


@dataclass(frozen=True)
class Window:
    """A window of a value that is too long to be read at once. weight: its share of the whole, 0..1."""

    value: Any
    weight: float


class Reader(
    Checked,
    ABC,
    returns={
        "facts": (Mapping, Hashable),
        "defects": (Mapping, Real),
        "inspect": (Mapping, Real),
        "digest": (bytes,),
        "identity_digest": (bytes,),
    },
):
    """Reads the examples of one modality. Every method raises `Unreadable` for an example that it cannot read.

    items: the plural noun for examples. reads_parts: whether it reads no more than `Raw.part` of an example.
    """

    items: ClassVar[str] = "files"
    reads_parts: ClassVar[bool] = False

    @abstractmethod
    def facts(self, raw: Raw) -> Mapping[str, Value]:
        """A value for every fact that the modality declares, from the header if there is one. Raises `Empty` too."""

    @abstractmethod
    def decode(self, raw: Raw) -> Any:
        """The example's value as stored, unconverted; converters and `prepare` take it."""

    def prepare_decode(self, preparation: Mapping[str, Any]) -> None:
        """Called with a contract's `preparation` before values are decoded for its encoder: a reader may skip data that
        preparation would throw away, if the features agree with those of the whole value.
        """

    def read(self, raw: Raw) -> tuple[Mapping[str, Value], Any]:
        """The facts and the value, for readers that get both in one pass."""
        return self.facts(raw), self.decode(raw)

    def defects(self, value: Any) -> Mapping[str, float]:
        """The share, 0..1, of each measured defect of the modality in a value as it enters `prepare`: by name, those
        above 0 at least. Called for every example that is read for an encoder, so it must be cheap.
        """
        return {}

    def inspect(self, raw: Raw) -> Mapping[str, float]:
        """The same of an example as stored, before any encoder is named. `check` calls it for every example; a reader
        whose values are cheap to decode may write `return self.defects(self.decode(raw))`.
        """
        return {}

    def extent(self, raw: Raw, facts: Mapping[str, Value]) -> Extent:
        """How far labels may reach in an example with these facts; by default nothing is known of it."""
        return Extent()

    def size(self, raw: Raw) -> int:
        """How much there is to compute, in any unit; examples of similar size share a batch."""
        return 1

    def memory(self, value: Any) -> int:
        """The memory that a decoded value takes, in bytes."""
        return sys.getsizeof(value)

    def show(self, raw: Raw) -> str:
        """The example in a few words, for messages and predictions: its path, or the text itself."""
        return raw.name

    def digest(self, raw: Raw) -> bytes:
        """Digest of the content, equal for examples that hold the same; by default of the bytes of all files."""
        if raw.companions or raw.is_folder:
            return _digest_of_files(raw)
        return _digest(raw.content(), part=raw.part)

    def identity_digest(self, raw: Raw) -> bytes:
        """Digest of the raw bytes: equal only for byte-identical examples. Cache key. Of several files it covers their
        names within the example and their bytes, in order. For an object in memory it is `digest`.
        """
        if raw.companions or raw.is_folder:
            return _digest_of_files(raw)
        if isinstance(raw.value, str):
            return _digest(raw.value.encode("utf-8", "surrogatepass"), person=b"text")
        if raw.value is None and raw.path is not None:
            return _digest_of_file(raw, raw.path)
        if isinstance(raw.value, bytes):
            return _digest(raw.value, part=raw.part)
        return self.digest(raw)

    def picture(self, raw: Raw) -> bytes | None:
        """The example as a small PNG or JPEG for a page; None if `show` is enough."""
        return None

    def sound(self, raw: Raw) -> bytes | None:
        """The example as a short FLAC file that a page plays; None for what cannot be heard."""
        return None

    def text(self, raw: Raw) -> str | None:
        """The first words of the example, for a page that has more room than `show`; None for what is no text."""
        return None


class Likeness(ABC):
    """Finds near duplicates of one modality by signatures: rows of whole numbers that are similar for similar examples.

    Signatures are compared if they agree in at least one of `bands` equal slices; two examples are near duplicates if
    their similarity is at least `threshold`, 0..1.
    """

    bands: ClassVar[int]
    threshold: ClassVar[float]

    @abstractmethod
    def signature(self, raw: Raw) -> Any:
        """A numpy row `(S,)` of whole numbers, or None for an example with too little content to compare."""

    def inspect(self, raw: Raw) -> tuple[Any, Mapping[str, float]]:
        """The signature, and what `Reader.inspect` would say, where one decoding serves for both."""
        return self.signature(raw), {}

    @abstractmethod
    def similarity(self, one: Any, other: Any) -> Any:
        """The similarity of the signatures `(M, S)` and `(M, S)`, row by row: `(M,)`, 0..1."""


def _pieces(raw: Raw) -> Iterator[Iterator[bytes]]:
    """For each file of an example its name within it, its size and its bytes, a block at a time."""
    assert raw.path is not None, "files lie somewhere"
    folder = raw.is_folder
    for one in raw.files():
        assert one.path is not None, "files lie somewhere"
        # A companion is known by what follows the stem, so that renaming both changes nothing.
        name = one.path.relative_to(raw.path).as_posix() if folder else one.path.name[len(raw.path.stem) :]
        yield _piece(one.path, os.fsencode(name), check_plain(one.path, one.name))


def _piece(path: Path, name: bytes, size: int) -> Iterator[bytes]:
    yield len(name).to_bytes(8, "big") + name + size.to_bytes(8, "big")
    with path.open("rb") as file:
        while block := file.read(SMALL):
            yield block


def _digest_of_files(raw: Raw) -> bytes:
    """The digest of an example of several files: of their names, sizes and bytes, in their order."""
    from hashlib import blake2b

    found = blake2b(digest_size=16, person=b"files")
    for pieces in _pieces(raw):
        for piece in pieces:
            found.update(piece)
    return _with_part(found, raw.part)


def _digest_of_file(raw: Raw, path: Path) -> bytes:
    """The digest of a file however large it is: no more of it than a block is in memory."""
    from hashlib import blake2b, file_digest

    if check_plain(path, raw.name) < SMALL:
        return _digest(path.read_bytes(), part=raw.part)
    with path.open("rb") as file:
        found: Any = file_digest(file, lambda: blake2b(digest_size=16))
    return _with_part(found, raw.part)


def _digest(content: bytes, person: bytes = b"", part: tuple[float, float] | None = None) -> bytes:
    from hashlib import blake2b  # loads OpenSSL, which listing does not need

    found = blake2b(content, digest_size=16, person=person)
    return _with_part(found, part)


def _with_part(found: Any, part: tuple[float, float] | None) -> bytes:
    if part is not None:
        found.update(repr(tuple(map(float, part))).encode())
    return found.digest()
