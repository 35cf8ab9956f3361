"""Files at addresses that fsspec reads: s3://, gs://, and whatever a package of its family brings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from graftwork.errors import GraftworkError
from graftwork.specs.source import RemoteFile, Source

PIECE = 8 * 2**20
"""Bytes asked for at once."""

VERSIONS = (
    "ETag", "etag", "md5Hash", "content_md5", "blob_id", "generation", "VersionId", "LastModified", "last_modified",
    "updated", "mtime", "modified", "modify", "created",
)  # fmt: skip
"""Where file systems say which version of a file they have, the surest first."""

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "s3": {
        "use_listings_cache": False,
        "config_kwargs": {"connect_timeout": 15, "read_timeout": 60, "retries": {"max_attempts": 1}},
    },
    "gs": {"use_listings_cache": False},
    "gcs": {"use_listings_cache": False},
}
"""Options of file systems where the user's configuration of fsspec names no others."""


class FileSystemSource(Source):
    """Files of a file system of fsspec. Credentials and options are its own: its environment variables, and the
    configuration of fsspec.
    """

    def __init__(self, address: str) -> None:
        super().__init__(address)
        from fsspec.config import conf
        from fsspec.core import url_to_fs

        scheme = address.partition("://")[0]
        options = {key: value for key, value in OPTIONS.get(scheme, {}).items() if key not in conf.get(scheme, {})}
        self._file_system, self._path = url_to_fs(address, **options)
        if hasattr(self._file_system, "retries"):
            self._file_system.retries = 1  # its tries would multiply ours

    def files(self) -> list[RemoteFile]:
        with _translated():
            about = {} if self.address.endswith("/") else self._file_system.info(self._path)
            if about.get("type") == "file":
                return [_described("", about)]
            found: dict[str, Any] = self._file_system.find(self._path, detail=True)  # pyright: ignore[reportAssignmentType]
        root = self._path.rstrip("/") + "/"
        files = [_described(path.removeprefix(root), about) for path, about in found.items() if not path.endswith("/")]
        if not files:
            raise FileNotFoundError("nothing is there")
        return files

    def read(self, file: RemoteFile, start: int = 0) -> Iterator[bytes]:
        path = f"{self._path.rstrip('/')}/{file.name}" if file.name else self._path
        if file.size is None:
            raise OSError(f"the size of '{file.name}' is not known")
        ranges = range(start, file.size, PIECE)
        for begin in ranges:
            end = min(begin + PIECE, file.size)
            with _translated():
                piece = self._file_system.cat_file(path, start=begin, end=end)
            if len(piece) != end - begin:
                raise self.Changed("it changed while it was fetched")
            yield piece
        if start or len(ranges) > 1:
            with _translated():
                now = _described(file.name, self._file_system.info(path))
            if now.version != file.version:
                raise self.Changed("it changed while it was fetched")


def _described(name: str, about: Mapping[str, Any]) -> RemoteFile:
    version = next((f"{key} {about[key]}" for key in VERSIONS if about.get(key)), "")
    return RemoteFile(name, about.get("size"), version)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the errors of libraries, each of which has its own family, into those of a `Source`."""
    try:
        yield
    except (OSError, GraftworkError):
        raise
    except Exception as error:
        kind = PermissionError if "Credential" in type(error).__name__ else ConnectionError
        raise kind(str(error) or type(error).__name__) from error
