"""The files of a record, as Zenodo's API lists them: https://developers.zenodo.org/#records."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from graftwork import RemoteFile, Source

PIECE = 2**20
TIMEOUT = 30.0
"""Seconds to wait for an answer, or for more of it."""


class Zenodo(Source):
    """`zenodo://RECORD` or `zenodo://RECORD/FILE`."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._record, _, self._file = address.removeprefix("zenodo://").strip("/").partition("/")
        self._links: dict[str, str] = {}

    def files(self) -> list[RemoteFile]:
        server = os.environ.get("ZENODO_URL", "https://zenodo.org").rstrip("/")
        with _opened(f"{server}/api/records/{self._record}") as reply:
            listed = json.load(reply)["files"]
        self._links = {file["key"]: file["links"]["self"] for file in listed}
        if not self._file:
            return [RemoteFile(file["key"], file["size"], file["checksum"]) for file in listed]
        found = [RemoteFile("", file["size"], file["checksum"]) for file in listed if file["key"] == self._file]
        if not found:
            raise FileNotFoundError(f"the record {self._record} holds no '{self._file}'")
        return found

    def read(self, file: RemoteFile, start: int = 0) -> Iterator[bytes]:
        with _opened(self._links[file.name or self._file], start) as reply:
            if start and reply.status != 206:
                raise OSError("the server knows no ranges")
            while piece := reply.read(PIECE):
                yield piece


def _opened(url: str, start: int = 0) -> Any:
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        kind = FileNotFoundError if error.code in (404, 410) else OSError
        raise kind(f"{error.code} {error.reason}") from error
