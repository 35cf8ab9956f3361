"""Addresses (`s3://bucket/photos/`, `https://host/photos.zip`): their parts, and what of them may be shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from graftwork.errors import UsageError
from graftwork.plugins import registry
from graftwork.specs.factories import load_factory, require
from graftwork.specs.source import Source

SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.I)
CHAINED = ("zip", "tar")
"""Schemes of what lies in an archive: `zip://INSIDE::ARCHIVE`."""


@dataclass(frozen=True)
class Address:
    """An address in parts. user: what stands before "@", which may be a password. query: what follows "?", which may be
    one too.
    """

    scheme: str
    user: str
    host: str
    path: str
    query: str

    @classmethod
    def of(cls, words: str) -> Address | None:
        """The address that `words` are; None for a path."""
        found = SCHEME.match(words)
        if found is None:
            return None
        scheme = found[1].lower()
        authority, _, path = words[found.end() :].partition("/")
        user, _, host = authority.rpartition("@")
        query = ""
        if scheme in ("http", "https"):
            path, _, query = path.partition("#")[0].partition("?")
        return cls(scheme, user, host, path, query)

    @property
    def whole(self) -> str:
        """As a source takes it."""
        user, query = f"{self.user}@" if self.user else "", f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{user}{self.host}{self._below}{query}"

    @property
    def key(self) -> str:
        """What tells it from others: without the user."""
        return f"{self.scheme}://{self.host}/{self.path.rstrip('/')}?{self.query}"

    @property
    def shown(self) -> str:
        """For messages and records: without what may be a password."""
        return f"{self.scheme}://{self.host}{self._below}"

    @property
    def _below(self) -> str:
        return f"/{self.path}" if self.path else ""

    @property
    def name(self) -> str:
        """The last part."""
        last = self.path.rstrip("/").rpartition("/")[2]
        return (unquote(last) if self.scheme in ("http", "https") else last) or self.host

    @property
    def parent(self) -> Address:
        return replace(self, path=self.path.rstrip("/").rpartition("/")[0])

    def beside(self, place: str) -> Address:
        """The address of a path relative to the folder that this one lies in."""
        folder = self.parent.path
        place = quote(place) if self.scheme in ("http", "https") else place
        return replace(self, path=f"{folder}/{place}" if folder else place)

    def without_secrets(self, words: str) -> str:
        """The words of another's message about this address."""
        user, password = self.user, self.user.partition(":")[2]
        secrets = {self.whole: self.shown, user: "...", password: "...", unquote(password): "...", self.query: "..."}
        for secret, shown in secrets.items():
            words = words.replace(secret, shown) if secret else words
        return words

    def source(self) -> Source:
        """What reads it.

        Raises `UnknownName` for a scheme that no plugin reads, `UsageError` if a package that it needs is missing.
        """
        spec = registry.source(self.scheme)
        require(spec.needs, f"An address of {self.scheme}://", spec.extra)
        return load_factory(spec.factory)(self.whole)


def is_address(words: str) -> bool:
    return SCHEME.match(words) is not None


def chained(words: str) -> tuple[str, str]:
    """The archive that an address names, and the path in it: of `zip://INSIDE::ARCHIVE`; other words are no chain.

    Raises `UsageError` for another chain.
    """
    found = SCHEME.match(words)
    if found is None:
        return words, ""
    inside, chain, archive = words[found.end() :].partition("::")
    if found[1].lower() in CHAINED and chain and "::" not in archive:
        return archive, inside.strip("/")
    if found[1].lower() in CHAINED or "::" in words:
        shown = "::".join(Address.of(part).shown if is_address(part) else part for part in words.split("::"))  # pyright: ignore[reportOptionalMemberAccess]
        raise UsageError(
            f"'{shown}' is no address of what lies in an archive; zip://INSIDE::ARCHIVE and tar://INSIDE::ARCHIVE are.",
            "Write for example: zip://photos::s3://bucket/photos.zip",
        )
    return words, ""
