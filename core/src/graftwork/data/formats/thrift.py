"""Structs of Thrift's compact protocol, in which Parquet describes itself.

pyarrow ends the process over some damaged descriptions as it shows them to Python, so they are read here.
Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmap import mmap

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
"""The types of fields."""
LEVELS = 32
"""Structs and lists within each other; Parquet has seven."""

Fields = dict[tuple[int, int], Any]
"""What a struct holds, by number and type of the field: numbers, bytes, lists and structs."""


class Damaged(ValueError):
    """Raised where bytes are no struct."""


class CompactReader:
    """Reads structs one after the other. content: where they lie. place: where the next one begins."""

    def __init__(self, content: bytes | mmap, place: int = 0) -> None:
        self.content, self.place = content, place

    def read(self) -> Fields:
        """The fields of the struct that begins here; of a field that is there twice the later one, and of a struct that
        is there twice both together, as Thrift's own readers have it. Raises `Damaged`.
        """
        if self.place < 0:
            raise Damaged("it points outside of the file")
        try:
            return self._struct(0, {})
        except IndexError as error:
            raise Damaged("it is cut off") from error

    def _struct(self, level: int, found: Fields) -> Fields:
        if level > LEVELS:
            raise Damaged("it is nested too deep")
        number = 0
        while True:
            head = self.content[self.place]
            self.place += 1
            kind = head & 0x0F
            if not kind:
                return found
            number = number + (head >> 4) if head >> 4 else self._number()
            key = (number, kind)
            if I16 <= kind <= I64:
                found[key] = self._number()
            elif kind == STRUCT:
                found[key] = self._struct(level + 1, found.get(key, {}))
            else:
                found[key] = kind == TRUE if kind <= FALSE else self._value(kind, level)

    def _value(self, kind: int, level: int) -> Any:
        match kind:
            case 1 | 2 | 3:  # within lists and maps, truths take a byte
                return self._bytes(1)
            case 4 | 5 | 6:
                return self._number()
            case 7:
                return self._bytes(8)
            case 8:
                return self._bytes(self._size())
            case 9 | 10:
                return self._list(level + 1)
            case 11:
                return self._map(level + 1)
            case 12:
                return self._struct(level + 1, {})
            case _:
                raise Damaged(f"it has a field of the type {kind}, which there is not")

    def _list(self, level: int) -> Any:
        head = self._bytes(1)[0]
        count, kind = head >> 4, head & 0x0F
        if count == 15:
            count = self._size()
        if kind <= BYTE:
            return self._bytes(count)
        self._check(level, count)
        return [self._value(kind, level) for _ in range(count)]

    def _map(self, level: int) -> list[tuple[Any, Any]]:
        count = self._size()
        self._check(level, count)
        kinds = self._bytes(1)[0] if count else 0
        return [(self._value(kinds >> 4, level), self._value(kinds & 0x0F, level)) for _ in range(count)]

    def _check(self, level: int, count: int) -> None:
        if level > LEVELS:
            raise Damaged("it is nested too deep")
        if count > len(self.content) - self.place:  # each takes a byte or more
            raise Damaged("it is cut off")

    def _bytes(self, count: int) -> bytes:
        found = self.content[self.place : self.place + count]
        if len(found) < count:
            raise Damaged("it is cut off")
        self.place += count
        return found

    def _size(self) -> int:
        """A number of 7 bits a byte, the lowest first."""
        content, place, number = self.content, self.place, 0
        for shift in range(0, 70, 7):
            byte = content[place]
            place += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                self.place = place
                return number
        raise Damaged("it holds a number that is too large")

    def _number(self) -> int:
        """The same, with its sign in the lowest bit."""
        number = self._size()
        return (number >> 1) ^ -(number & 1)
