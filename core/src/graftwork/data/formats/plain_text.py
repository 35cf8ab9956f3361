"""The text of a file as plain bytes: decompressed, and UTF-16 and UTF-32 as UTF-8.

What is not plain is written to a temporary file, so that every reader may go over it as often as it needs without
holding it in memory.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from graftwork.errors import DataError
from graftwork.specs.limits import how_to_raise, packed_limit

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
HEAD = 65536
"""Bytes at the start of a file that tell how it is written."""


@contextmanager
def plain_text(path: Path) -> Iterator[Path]:
    """A file with the text of `path` in UTF-8, or as it is where it is in an encoding of one byte a sign; `path` itself
    where it is plain.

    Raises `DataError` for a file that is not compressed as its ending says, and for one that is no text.
    """
    compressed = path.suffix.lower() in COMPRESSED
    with _decompressed(path) as file:
        encoding = _wide_encoding(path, file.read(HEAD))
    if not compressed and encoding is None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="graftwork-") as folder:
        plain = Path(folder) / "plain"
        most = packed_limit(path.stat().st_size)
        with _refusing(path), _decompressed(path) as file, plain.open("wb") as out:
            decoder = codecs.getincrementaldecoder(encoding)() if encoding else None
            while block := file.read(2**20):
                out.write(decoder.decode(block).encode() if decoder else block)
                if out.tell() > most:
                    raise DataError(
                        f"'{path}' grows to more than {most:,} bytes.", how_to_raise("packed_bytes", 2 * most)
                    )
            if decoder:
                out.write(decoder.decode(b"", final=True).encode())
        yield plain


@contextmanager
def _decompressed(path: Path) -> Iterator[IO[bytes]]:
    with _refusing(path):
        match path.suffix.lower():
            case ".gz":
                file: Any = gzip.open(path)  # noqa: SIM115  closed below
            case ".bz2":
                file = bz2.open(path)  # noqa: SIM115
            case ".xz":
                file = lzma.open(path)  # noqa: SIM115
            case ".zst":
                import pyarrow as pa

                file = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
            case _:
                file = path.open("rb")
        with file:
            yield cast(IO[bytes], file)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, lzma.LZMAError, EOFError, zlib.error, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk, not the file's content
            raise
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"'{path}' is damaged, or not what its ending says: {reason}.", "Copy or export it again."
        ) from error


def _wide_encoding(path: Path, head: bytes) -> str | None:
    """UTF-16 or UTF-32, by the byte order mark or by where the zeros of ASCII signs lie; None for other text.

    Raises `DataError` where zeros lie as in no text.
    """
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" not in head:
        return None
    whole = head[: len(head) // 2 * 2]
    for encoding, zeros, signs in (("utf-16-le", 1, 0), ("utf-16-be", 0, 1)):
        ends = [sign == 10 for sign in whole[signs::2]]
        zero = [sign == 0 for sign in whole[zeros::2]]
        lines = sum(end and high for end, high in zip(ends, zero, strict=True))
        others = whole[signs::2].count(0)
        if lines and 2 * lines >= whole.count(b"\n") and sum(zero) >= 10 * others:
            return encoding
    if head.count(b"\0") > len(head) / 100:
        raise DataError(
            f"'{path}' is no text: {head.count(0)} of its first {len(head)} bytes are zero.",
            "Export it again as UTF-8 text.",
        )
    return None


def first_text(plain: Path) -> str:
    """The first signs of a file, at least one line of it, a byte order mark left out; as Latin-1, so that every byte is
    one sign."""
    with plain.open("rb") as file:
        head = file.read(HEAD).removeprefix(codecs.BOM_UTF8)
        while b"\n" not in head and b"\r" not in head and (more := file.read(2**20)):
            head += more
    return head.decode("latin-1")
