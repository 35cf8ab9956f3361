"""Files at http:// and https://, by the standard library."""

from __future__ import annotations

import base64
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, unquote

from graftwork.data.remote.addresses import Address
from graftwork.specs.source import RemoteFile, Source

PIECE = 2**20
TIMEOUT = 30.0
"""Seconds to wait for an answer, or for more of it."""


class HttpSource(Source):
    """One file at an address of the web. Ranges are asked for under the condition that the file is still the same."""

    def files(self) -> list[RemoteFile]:
        try:
            reply = self._open("HEAD")
        except OSError as error:
            if getattr(error.__cause__, "code", None) not in (403, 405, 501):  # where GET alone is known or signed
                raise
            reply = self._open("GET")
        with reply:
            length = reply.headers.get("Content-Length")
            encoded = reply.headers.get("Content-Encoding", "identity") != "identity"
            return [RemoteFile("", None if length is None or encoded else int(length), _version(reply))]

    def read(self, file: RemoteFile, start: int = 0) -> Iterator[bytes]:
        headers = {"Range": f"bytes={start}-", "If-Range": file.version} if start and file.version else {}
        with self._open("GET", headers) as reply, _translated():
            if _version(reply) != file.version:
                raise self.Changed("it changed while it was fetched")
            skip = 0 if reply.status == 206 else start
            while piece := reply.read(PIECE):
                if skip < len(piece):
                    yield piece[skip:]
                skip = max(0, skip - len(piece))

    def _open(self, method: str, headers: dict[str, str] | None = None) -> Any:
        address = Address.of(self.address)
        assert address is not None, "the core names what an address is"
        place = quote(f"/{address.path}", safe="/%:@!$&'()*+,;=~-._")
        query = f"?{address.query}" if address.query else ""
        request = urllib.request.Request(
            f"{address.scheme}://{address.host}{place}{query}",
            headers={"Accept-Encoding": "identity", "User-Agent": "graftwork", **(headers or {})},
            method=method,
        )
        if address.user:
            user = base64.b64encode(unquote(address.user).encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {user}")
        with _translated():
            return urllib.request.urlopen(request, timeout=TIMEOUT)


def _version(reply: Any) -> str:
    """A strong ETag, or the time of the last change; a weak ETag may stand for other bytes."""
    tag = reply.headers.get("ETag", "")
    return tag if re.match(r'"', tag) else reply.headers.get("Last-Modified", "")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the errors of urllib and http.client into those of a `Source`."""
    try:
        yield
    except urllib.error.HTTPError as error:
        words = f"{error.code} {error.reason}"
        kinds = {401: PermissionError, 403: PermissionError, 404: FileNotFoundError, 410: FileNotFoundError}
        raise kinds.get(error.code, OSError)(words) from error
    except urllib.error.URLError as error:
        raise OSError(str(getattr(error.reason, "strerror", None) or error.reason)) from error
    except HTTPException as error:
        raise ConnectionError(str(error) or type(error).__name__) from error
