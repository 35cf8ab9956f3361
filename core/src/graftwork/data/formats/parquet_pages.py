"""How large the columns of a Parquet file are in memory, by its footer and by the headers of all its pages.

The footer is not believed: a page of a few bytes may hold any number of values, and a dictionary that it does not speak
of is read all the same. Source: https://github.com/apache/parquet-format, parquet.thrift.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from graftwork.data.formats.thrift import I32, I64, LIST, STRUCT, CompactReader, Damaged, Fields
from graftwork.errors import DataError
from graftwork.specs.limits import how_to_raise, limits

WIDTHS = (1, 4, 8, 8, 4, 8)
"""Bytes of a value in memory, by physical type; those that follow are texts: BYTE_ARRAY and FIXED_LEN_BYTE_ARRAY."""
OFFSET = 4
"""Bytes that point to a text, beside its own."""
TRAILER = 8
"""Bytes at the end: the length of the footer, and the letters PAR1."""


@dataclass(frozen=True)
class Chunk:
    """A column of one row group. path: its name and those within. rows: of the group. values: those in its pages.
    width: bytes of one; 0 for texts. data, dictionary: bytes of its pages, unpacked; 0 where there is no dictionary.
    """

    path: str
    rows: int
    values: int
    width: int
    data: int
    dictionary: int

    @property
    def least(self) -> int:
        """Bytes that it becomes in memory at least."""
        return self.width * self.values if self.width else OFFSET * self.values + self.data + self.dictionary

    @property
    def most(self) -> int:
        """The same at most: any text may be as long as the dictionary."""
        return self.least if self.width else self.least + self.dictionary * self.values

    @property
    def nested(self) -> bool:
        """Whether a row may hold any number of its values."""
        return self.values > self.rows


class RowGroups(Sequence[list[Chunk]]):
    """The columns of each row group, read when they are asked for. Raises `Damaged`."""

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self.content = content
        size = int.from_bytes(content[-TRAILER:-4], "little")
        end = len(content) - TRAILER
        footer = content[max(0, end - size) : end]
        self.groups: list[Fields] = CompactReader(footer).read().get((4, LIST), [])

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, place: Any) -> Any:
        group = self.groups[place]
        rows = group.get((3, I64), 0)
        return [self._chunk(column.get((3, STRUCT), {}), rows) for column in group.get((1, LIST), [])]

    def _chunk(self, about: Fields, rows: int) -> Chunk:
        kind, count, packed = about.get((1, I32)), about.get((5, I64)), about.get((7, I64))
        place, dictionary = about.get((9, I64)), about.get((11, I64), 0)
        if kind is None or count is None or packed is None or place is None:
            raise Damaged("a column does not say where it is")
        values = data = largest = 0
        start = dictionary if 0 < dictionary < place else place
        pages = CompactReader(self.content, start)
        while values < count and pages.place < start + packed:
            page = pages.read()
            size, here = page.get((2, I32), -1), page.get((3, I32), -1)
            if size < 0 or here < 0:
                raise Damaged("a page does not say how large it is")
            pages.place += here
            match page.get((1, I32)):
                case 0:
                    values, data = values + _count(page, 5), data + size
                case 3:  # the second form of a page of values
                    values, data = values + _count(page, 8), data + size
                case 2:
                    largest = max(largest, size)
                case _:  # an index, which no reader of values unpacks
                    pass
        path = b".".join(about.get((3, LIST), [])).decode(errors="replace")
        width = WIDTHS[kind] if 0 <= kind < len(WIDTHS) else 0
        return Chunk(path, rows, max(values, count), width, data, largest)


def _count(page: Fields, header: int) -> int:
    """The values of a page, by its header of that number."""
    return max(0, page.get((header, STRUCT), {}).get((1, I32), 0))


@contextmanager
def row_groups(path: Path) -> Iterator[RowGroups]:
    """The columns of a file that pyarrow could open. Raises `ArrowInvalid` for a damaged one, and `DataError` for one
    with more than `footer_bytes` to say of itself.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        size, most = int.from_bytes(content[-TRAILER:-4], "little"), limits().footer_bytes
        if size > most:
            raise DataError(
                f"'{path}' has {size:,} bytes that describe it; at most {most:,} are read.",
                how_to_raise("footer_bytes", size),
            )
        try:
            yield RowGroups(content)
        except Damaged as error:
            raise pa.ArrowInvalid(f"its description is damaged: {error}") from error
