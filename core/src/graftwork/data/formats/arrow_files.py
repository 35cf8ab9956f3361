"""Arrow files (Feather) and streams as tables, their size checked first: buffers may be packed to nearly nothing."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from graftwork.data.formats.frames import plain_types, sound
from graftwork.data.formats.table_limits import check_columns, check_growth, check_shape
from graftwork.specs.limits import packed_limit

DICTIONARY_BATCH = 2
"""The kind of a message that holds the values of categories (Message.fbs, MessageHeader)."""
DICTIONARIES, RECORD_BATCHES = 2, 3
"""The fields of a footer that say where messages begin."""


def read_arrow(path: Path) -> pa.Table:
    """Raises what pyarrow raises, and `DataError` for a table that is too large."""
    most = packed_limit(path.stat().st_size)
    with pa.memory_map(str(path)) as source, _opened(source) as file:
        _check(path, source, file, most, whole=True)
        return plain_types(sound(path, file.read_all()), most)


def read_arrow_pieces(path: Path, rows: int) -> Iterator[pa.Table]:
    """Yield the rows of one file, at most `rows` at a time. Raises as `read_arrow` does, but for any length."""
    most = packed_limit(path.stat().st_size)
    with pa.memory_map(str(path)) as source, _opened(source) as file:
        _check(path, source, file, most, whole=False)
        for batch in _batches(file):
            table = sound(path, pa.Table.from_batches([batch]))
            yield from (plain_types(table.slice(at, rows), most) for at in range(0, len(table), rows))


def _opened(source: Any) -> Any:
    """A reader of an Arrow file, as Feather and `pyarrow.ipc` write it, or of an Arrow stream, as `datasets` does."""
    try:
        return pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_stream(source)


def _batches(file: Any) -> Iterator[pa.RecordBatch]:
    if hasattr(file, "num_record_batches"):
        return (file.get_batch(number) for number in range(file.num_record_batches))
    return iter(file)


def _check(path: Path, source: Any, file: Any, most: int, *, whole: bool) -> None:
    """By the metadata of each message; no buffer is unpacked. whole: all batches are in memory at once."""
    check_columns(path, len(file.schema))
    rows = size = 0
    for message in _messages(source) if hasattr(file, "num_record_batches") else _streamed(source):
        if message.type not in ("record batch", "dictionary"):
            continue
        found, grown = _described(message.metadata.to_pybytes(), message.body)
        rows = rows + found if message.type == "record batch" else rows
        size = size + grown if whole else grown
        check_growth(path, size, most)
        if whole:
            check_shape(path, rows, len(file.schema))


def _streamed(source: Any) -> Iterator[Any]:
    """The messages of a stream, which stays where it is."""
    here = source.tell()
    source.seek(0)
    yield from pa.ipc.MessageReader.open_stream(source)
    source.seek(here)


def _messages(source: Any) -> Iterator[Any]:
    """Those of a file with buffers, which its footer lists (File.fbs, Footer): its length stands in 4 bytes before the
    last word, "ARROW1"."""
    (length,) = struct.unpack("<i", source.read_at(4, source.size() - 10))
    footer = _Struct.root(source.read_at(length, source.size() - 10 - length))
    for field in (DICTIONARIES, RECORD_BATCHES):
        for place, _, _ in footer.structs(field, "<qqq"):
            source.seek(place)
            yield pa.ipc.read_message(source)


def _described(metadata: bytes, body: Any) -> tuple[int, int]:
    """The rows of a message, and the bytes of its buffers once they are unpacked; 0 for buffers that are not packed.

    metadata: a flatbuffer (Message.fbs). A packed buffer begins with its length as 8 bytes (Message.fbs,
    BodyCompression), -1 where it is as it was.
    """
    message = _Struct.root(metadata)
    batch = message.table(2)
    if message.byte(1) == DICTIONARY_BATCH:
        batch = batch.table(1)
    rows, size = batch.long(0), 0
    if batch.has(3):
        for place, length in batch.structs(2, "<qq"):
            if length >= 8:
                (stated,) = struct.unpack("<q", body.slice(place, 8).to_pybytes())
                size += max(0, stated)
    return rows, size


class _Struct:
    """A table of a flatbuffer: its fields by number (flatbuffers.dev, "Internals")."""

    def __init__(self, content: bytes, at: int) -> None:
        self.content, self.at = content, at
        self.fields = at - self._number("<i", at)

    @classmethod
    def root(cls, content: bytes) -> _Struct:
        return cls(content, struct.unpack_from("<I", content)[0])

    def _number(self, form: str, at: int) -> int:
        return struct.unpack_from(form, self.content, at)[0]

    def _place(self, field: int) -> int:
        """Where a field stands; 0 where it is left out."""
        slot = 4 + 2 * field
        offset = self._number("<H", self.fields + slot) if slot < self._number("<H", self.fields) else 0
        return self.at + offset if offset else 0

    def has(self, field: int) -> bool:
        return bool(self._place(field))

    def byte(self, field: int) -> int:
        return self.content[place] if (place := self._place(field)) else 0

    def long(self, field: int) -> int:
        return self._number("<q", place) if (place := self._place(field)) else 0

    def table(self, field: int) -> _Struct:
        place = self._place(field)
        return _Struct(self.content, place + self._number("<I", place))

    def structs(self, field: int, form: str) -> Iterator[tuple[int, ...]]:
        """A list of structs."""
        if place := self._place(field):
            place += self._number("<I", place)
            for number in range(self._number("<I", place)):
                yield struct.unpack_from(form, self.content, place + 4 + struct.calcsize(form) * number)
