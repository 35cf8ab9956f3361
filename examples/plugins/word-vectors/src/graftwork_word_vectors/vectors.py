"""Reads word vectors: the text format of word2vec, fastText and GloVe, and GloVe as its package holds it.

In text format a line is a word and its numbers, parted by blanks; word2vec and fastText put a line "COUNT WIDTH" first.
Nothing is ever unpickled.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from graftwork import DataError, WeightsMismatch

HEAD = 1_000
"""How many words are looked at for capitals: the most frequent ones of a vocabulary with capitals surely have some."""

BLOCK = 4_096
"""How many lines are read at once."""

FORMAT = (
    "Give text as word2vec, fastText (.vec) and GloVe write it; in gensim: save_word2vec_format(FILE, binary=False)."
)

GLOVE_WORDS = "glove_6B_index.parquet"
"""Beside the array of vectors in the package: its words in a column "index", in the same order."""


@dataclass(frozen=True)
class Shape:
    """count: words. width: D, the numbers of each. lower: whether none of the first words has a capital."""

    count: int
    width: int
    lower: bool


class Line(NamedTuple):
    """A line of text format that is a vector; number: counted from 1."""

    number: int
    word: str
    numbers: str


def survey(file: Path) -> Shape:
    """The shape of a file in text format (also .gz), from its head where that says the count; else lines are counted.

    Raises `DataError`, naming the line, where the head is not in that format.
    """
    lines = _lines(file)
    stated, width, vectors = _begin(file, lines)
    head = [_split(file, *line, width) for line in islice(vectors, HEAD)]
    if not head:
        raise DataError(f"'{file}' holds no word.", FORMAT)
    _table(file, head)
    count = len(head) + sum(1 for _ in vectors) if stated is None else stated
    return Shape(count, width, all(line.word == line.word.lower() for line in head))


def read(file: Path, count: int, width: int) -> tuple[list[str], np.ndarray]:
    """The words and their vectors, `(count, width)` float32, of a file in text format or of GloVe's package (.npy).

    Raises `DataError`, naming the line, for what is not in text format, and `WeightsMismatch` for another shape.
    """
    words, table = _packaged(file) if file.suffix == ".npy" else _text(file, count, width)
    if (len(words), *table.shape) != (count, count, width):
        raise WeightsMismatch(
            f"'{file}' holds vectors {table.shape} and {len(words)} words, not {(count, width)} and {count}.",
            "Restore the file, or install its package again.",
        )
    return words, table


def digest(words: Sequence[str]) -> str:
    """SHA-256, as 64 hexadecimal digits, of words in their order."""
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def packaged_words(file: Path) -> list[str]:
    """The words of GloVe's package, whose vectors are in `file`."""
    from pyarrow import parquet  # a second to import, which only this needs

    with parquet.ParquetFile(file.with_name(GLOVE_WORDS)) as index:
        return index.read(columns=["index"])["index"].to_pylist()


def _packaged(file: Path) -> tuple[list[str], np.ndarray]:
    return packaged_words(file), np.load(file, allow_pickle=False)


def _text(file: Path, count: int, width: int) -> tuple[list[str], np.ndarray]:
    words: list[str] = []
    table = np.empty((count, width), np.float32)
    _, _, vectors = _begin(file, _lines(file))
    while block := [_split(file, *line, width) for line in islice(vectors, BLOCK)]:
        begin = len(words)
        words += [line.word for line in block]
        if len(words) <= count:
            table[begin : len(words)] = _table(file, block)
    if len(words) != count:
        raise DataError(f"Words in '{file}': {len(words)}, not the {count} that its first line says.", FORMAT)
    return words, table


def _begin(file: Path, lines: Iterator[tuple[int, str]]) -> tuple[int | None, int, Iterator[tuple[int, str]]]:
    """The count that the first line says, if any; the width; and the lines that are vectors."""
    first = next(lines, None)
    if first is None:
        raise DataError(f"'{file}' is empty.", FORMAT)
    fields = first[1].split(" ")
    stated = len(fields) == 2 and all(field.isascii() and field.isdigit() for field in fields)
    width = int(fields[1]) if stated else len(fields) - 1
    if width < 1:
        raise DataError(f"Line 1 of '{file}' gives a word no numbers: '{first[1][:40]}'.", FORMAT)
    return (int(fields[0]), width, lines) if stated else (None, width, chain([first], lines))


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, from 1, without the blanks and line ends behind them."""
    number = 0
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as content:
            for number, line in enumerate(content, 1):
                yield number, line.decode().rstrip(" \r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"Line {number} of '{file}' is not UTF-8.", FORMAT) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"'{file}' cannot be read after line {number}: {error}.", FORMAT) from error


def _split(file: Path, number: int, text: str, width: int) -> Line:
    """A line in two. A word may hold blanks (GloVe's of 840 billion tokens do), but not end in a number after one."""
    word, _, numbers = text.partition(" ")
    if numbers and numbers.count(" ") == width - 1:
        return Line(number, word, numbers)
    word, *parts = text.rsplit(" ", width)
    if len(parts) < width or _is_number(word.rpartition(" ")[2]):
        raise DataError(
            f"Numbers in line {number} of '{file}': {text.count(' ')}, not {width} as its first line has it.", FORMAT
        )
    return Line(number, word, " ".join(parts))


def _table(file: Path, block: Sequence[Line]) -> np.ndarray:
    """The numbers of some lines, `(N, D)` float32."""
    try:
        table = _parsed([line.numbers for line in block])
    except ValueError:
        for line in block:
            try:
                _parsed([line.numbers])
            except ValueError as error:
                raise DataError(
                    f"Line {line.number} of '{file}' holds what is no number: '{line.numbers[:40]}'.", FORMAT
                ) from error
        raise
    finite = np.isfinite(table).all(1)
    if not finite.all():
        line = block[int(finite.argmin())]
        raise DataError(f"Line {line.number} of '{file}' holds a number that is not finite.", FORMAT)
    return table


def _parsed(rows: list[str]) -> np.ndarray:
    return np.loadtxt(rows, np.float32, comments=None, delimiter=" ", ndmin=2)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
