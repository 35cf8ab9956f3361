"""Archives (.zip, .tar, .tar.gz, ...), unpacked once and kept; none writes outside of its folder or without bounds."""

from __future__ import annotations

import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from graftwork.data.formats.tables import SUFFIXES
from graftwork.data.remote.kept import key_of, made
from graftwork.data.walk import shown, walk
from graftwork.errors import DataError
from graftwork.specs.limits import VARIABLE, limits, packed_limit

TAR = re.compile(r"\.(tar|tar\.(gz|bz2|xz)|tgz|tbz2?|txz)$", re.I)
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
PIECE = 2**20
ENCRYPTED, UTF8 = 0x1, 0x800
"""Flags of a member of a zip file (APPNOTE.TXT 4.4.4)."""


class Member(NamedTuple):
    """A file in an archive; content is None for a link or a device."""

    name: str
    content: IO[bytes] | None


def is_archive(path: Path) -> bool:
    return path.suffix.lower() == ".zip" or TAR.search(path.name) is not None


def unpacked(path: Path, said: str) -> Path:
    """The folder that an archive holds; the table, if it holds one and nothing else.

    said: the archive in messages.

    Raises `DataError` for one that is damaged or encrypted, leads outside of its folder, or is out of all bounds.
    """
    stem = TAR.sub("", path.name) if TAR.search(path.name) else path.stem
    folder = made("unpacked", key_of(path), said, lambda content: _unpack(path, content / (stem or "data"), said))
    folder = folder / (stem or "data")
    files = walk(folder, trusted=False).files
    return files[0] if len(files) == 1 and files[0].suffix.lower() in SUFFIXES else folder


def _unpack(path: Path, folder: Path, said: str) -> list[str]:
    """Write the files of an archive into a folder. Returns notes on what is left out."""
    folder.mkdir()
    most = left = packed_limit(path.stat().st_size)
    most_files = limits().archive_files
    left_out: list[str] = []
    try:
        for number, member in enumerate(_zipped(path, said) if path.suffix.lower() == ".zip" else _tarred(path)):
            if number == most_files:
                raise _refused(said, f"holds more than {most_files:,} files", "archive_files", 2 * most_files)
            target = folder / _inside(member.name, said)
            if member.content is None:
                left_out.append(member.name)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with member.content as content, target.open("wb") as file:
                while piece := content.read(PIECE):
                    left -= len(piece)
                    if left < 0:
                        raise _refused(said, f"grows to more than {most:,} bytes", "packed_bytes", 2 * most)
                    file.write(piece)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError, KeyError) as error:
        raise _damaged(said, error) from error
    except (NotImplementedError, RuntimeError) as error:
        raise _refused(said, f"is packed in a way that is not read ({error})") from error
    except OSError as error:
        if error.errno is None:  # of a decompressor, not of the disk
            raise _damaged(said, error) from error
        raise DataError(
            f"'{said}' cannot be unpacked into '{folder}': {error.strerror}.",
            "Make room, or name another folder with GRAFTWORK_CACHE.",
        ) from error
    if left_out:
        return [f"Left out of '{said}': links and devices ({shown(left_out)}), {len(left_out)} in all."]
    return []


def _zipped(path: Path, said: str) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.flag_bits & ENCRYPTED:
                raise _refused(said, f"is encrypted ('{info.filename}')")
            kind = info.external_attr >> 28  # of the mode of Unix: 0 unknown, 8 a file, 10 a link
            if not info.is_dir():
                yield Member(_zip_name(info), archive.open(info) if kind in (0, 8) else None)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name, with "/" between its parts; macOS writes UTF-8 without saying so."""
    name = info.filename
    if not info.flag_bits & UTF8:
        try:
            name = name.encode("cp437").decode()
        except UnicodeError:
            name = info.filename
    return name.replace("\\", "/")


def _tarred(path: Path) -> Iterator[Member]:
    with tarfile.open(path) as archive:
        for info in archive:
            if info.isfile() or info.islnk():
                yield Member(info.name, archive.extractfile(info))
            elif not info.isdir():
                yield Member(info.name, None)


def _inside(name: str, said: str) -> PurePosixPath:
    """The path of a member. Raises `DataError` if it leads outside."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or re.match(r"[a-z]:", name, re.I) or not path.parts:
        raise _refused(said, f"holds '{name}', which leads outside of its folder")
    return path


def _refused(said: str, why: str, limit: str = "", needed: int = 0) -> DataError:
    """limit: the name of the limit that is passed, and what might be enough."""
    trusted = "If you trust it, unpack it yourself and name the folder."
    hint = f"{trusted[:-1]}, or raise the limit: {VARIABLE}={limit}={needed}" if limit else trusted
    return DataError(f"'{said}' {why}, so it is not unpacked.", hint)


def _damaged(said: str, error: Exception) -> DataError:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return DataError(f"'{said}' cannot be unpacked: {reason[:200]}.", "Fetch or pack it again.")
