"""Sources by address (`s3://bucket/photos/`): what a plugin gives, so that the core can fetch their files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from graftwork.specs.returns import Checked


@dataclass(frozen=True)
class SourceSpec:
    """A scheme of addresses.

    scheme: what stands before `://`. factory: names a `graftwork.Source` subclass, made with the address. needs: the
    package that it imports, if the plugin does not bring it. extra: the extra of graftwork that installs it. plain:
    whether people also write such addresses in texts, as those of https.
    """

    scheme: str
    factory: str
    needs: str = ""
    extra: str = ""
    plain: bool = False
    credentials: str = "as its plugin says"


@dataclass(frozen=True)
class RemoteFile:
    """A file at an address.

    name: its path below the address, its parts joined by "/"; empty if the address is that of the file. size: in bytes;
    None if it is not known before the file is read. version: changes when the content does (an ETag, a time); empty if
    the source has nothing of the kind: then the file is fetched each time.
    """

    name: str
    size: int | None
    version: str


class Source(Checked, ABC, returns={"files": (Sequence, RemoteFile), "read": (Iterable,)}):
    """The files at an address. The core keeps them, tries again, goes on where a connection broke, and shows progress.

    Every method raises `FileNotFoundError` or `PermissionError` for what another try will not mend, and any other
    `OSError` for what it may.
    """

    class Changed(OSError):
        """A file is no longer of the version that was listed."""

    def __init__(self, address: str) -> None:
        self.address = address

    @abstractmethod
    def files(self) -> Sequence[RemoteFile]:
        """The file at the address, or all files below it if it is that of a folder."""

    @abstractmethod
    def read(self, file: RemoteFile, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes of a file from `start` on, in pieces of any length. Raises `Source.Changed` too."""
