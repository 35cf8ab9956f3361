"""Shards: files of rows, each appended to by one writer, and checked on every read.

A row is a few *segments*, each with a checksum that also covers its key, so that a torn, changed or misplaced segment
is never returned: it counts as missing and is computed again.

Shards are read with `pread`, not mapped: if another process truncates a mapped file, the reader crashes, and mapped
pages count as the reader's memory.
"""

from __future__ import annotations

import os
import struct
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from graftwork.runtime.locks import lock

SMALL = 2**16
"""Bytes up to which a row is read at once, whatever is wanted of it."""


MOST = 2**40
"""Bytes of a row at most: larger ones are what a damaged index says."""


class Place(NamedTuple):
    """Where a row lies, how many segments it has, the number of parts (windows) of its example, and the shares of it
    that defects affect, as `Row` has them.
    """

    shard: int
    offset: int
    bytes: int
    segments: int
    parts: int
    defects: bytes


class Row(NamedTuple):
    """A row to write: the digest of its example, its segments, the number of parts (windows) of the example, and the
    shares of it that defects affect (see `stored`).
    """

    digest: bytes
    segments: Sequence[bytes]
    parts: int = 1
    defects: bytes = b""


def stored(shares: np.ndarray) -> bytes:
    """Shares `(K,)` as a row keeps them: float32, and nothing where nothing is affected."""
    return shares.astype("<f4").tobytes() if shares.any() else b""


def shares_of(defects: bytes) -> np.ndarray | float:
    """The shares `(K,)` that a row keeps, or 0 for all of them."""
    return np.frombuffer(defects, "<f4") if defects else 0.0


def placed(found: Sequence[Any]) -> Place | None:
    """The place that a row of the index says; None if the index is damaged there."""
    place = Place(*found)
    numbers, defects = place[:-1], place.defects
    sound = all(type(number) is int and 0 <= number < 2**62 for number in numbers)
    return place if sound and type(defects) is bytes and len(defects) % 4 == 0 else None


def pack(space: bytes, row: Row) -> bytes:
    """The bytes of a row in a shard. space: the key of its space."""
    count = len(row.segments)
    head = struct.pack(f"<{count}I", *map(len, row.segments))
    made = [head, _sum(space, row.digest, count, head, row.parts, row.defects)]
    for number, segment in enumerate(row.segments):
        made += [segment, _sum(space, row.digest, number, segment)]
    return b"".join(made)


def unpack(
    handle: int, space: bytes, digest: bytes, place: Place, segments: Sequence[int] | None = None
) -> list[bytes] | None:
    """The segments of a row in an open shard (all, or those with these numbers); None if the row is damaged, or is
    not of this space, or what its place says of it is not what was kept."""
    _, begin, size, count, parts, defects = place
    if size > MOST or 8 * count > size:  # a segment has a length and a checksum
        return None
    whole = os.pread(handle, size, begin) if size <= SMALL else b""

    def read(length: int, start: int) -> bytes:
        return whole[start : start + length] if whole else os.pread(handle, length, begin + start)

    head = read(4 * count + 4, 0)
    if len(head) < 4 * count + 4 or _sum(space, digest, count, head[:-4], parts, defects) != head[-4:]:
        return None
    lengths = struct.unpack(f"<{count}I", head[:-4])
    found = []
    for number in range(count) if segments is None else segments:
        start = len(head) + sum(lengths[:number]) + 4 * number
        stored = read(lengths[number] + 4, start)
        if len(stored) != lengths[number] + 4 or _sum(space, digest, number, stored[:-4]) != stored[-4:]:
            return None
        found.append(stored[:-4])
    return found


def _sum(space: bytes, digest: bytes, number: int, payload: bytes, parts: int = 0, defects: bytes = b"") -> bytes:
    """CRC-32 of a segment, seeded with all that it belongs to."""
    seed = zlib.crc32(digest + space, zlib.crc32(f"{number} {parts}".encode()))
    return zlib.crc32(payload, zlib.crc32(defects, seed)).to_bytes(4, "little")


class Writer:
    """A shard that this process appends to; its lock keeps out other writers and shows that it is in use."""

    def __init__(self, file: Path, handle: int) -> None:
        self.name = file.name
        self.bytes = os.fstat(handle).st_size
        self._handle = handle

    @classmethod
    def new(cls, folder: Path) -> Writer:
        file = folder / uuid.uuid4().hex
        handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND)
        lock(handle)
        return cls(file, handle)

    @classmethod
    def take(cls, file: Path) -> Writer | None:
        """Continue a shard that no other process writes to; None if that is not possible."""
        try:
            handle = os.open(file, os.O_WRONLY | os.O_APPEND)
        except OSError:
            return None
        try:
            lock(handle, wait=False)
            if file.stat().st_ino == os.fstat(handle).st_ino:
                return cls(file, handle)
        except OSError:
            pass
        os.close(handle)
        return None

    def append(self, record: bytes) -> tuple[int, int]:
        """Append a record. Returns its offset and its length in bytes."""
        begin, view = self.bytes, memoryview(record)
        while view:
            view = view[os.write(self._handle, view) :]
        self.bytes += len(record)
        return begin, len(record)

    def close(self) -> None:
        os.close(self._handle)
