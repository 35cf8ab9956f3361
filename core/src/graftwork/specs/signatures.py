"""What a file is by its first bytes, for messages about files that are not what their names say.

A file is looked into only after a reader could not read it, or where it has no ending.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from graftwork.errors import Unreadable
from graftwork.specs.magic_numbers import BRANDS, KINDS, MAGIC, OFFICE, SUBTYPES, UNPACK
from graftwork.specs.plain_files import check_plain
from graftwork.specs.readers import Raw

HEAD = 4096
"""How many bytes of a file are looked at."""

_LFS = re.compile(rb"version https?://(git-lfs|hawser)\.github\.com/spec/")
_HTML = re.compile(rb"(<!--.*?-->\s*)*<(!doctype html|html|head|body)[\s>]", re.I | re.S)
_JSON = re.compile(rb'\{\s*("|\})|\[\s*(["{\[\]\-0-9]|true|false|null)')
_TITLE = re.compile(rb"<title[^>]*>\s*([^<]{1,80}?)\s*</title", re.I)
# Control characters that text does not hold: all of C0 but tab, line and page breaks and escape.
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_BOMS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class FileFormat:
    """What the first bytes of a file say it is.

    name: in words ("a PNG image"). kind: "image", "sound", "video", "text", "document", "archive", "data", or
    "stand-in" for what lies in place of the file. ending: its usual file ending; empty if it has none of its own.
    remedy: what to do about it, if there is more to do than to save it as something else.
    """

    name: str
    kind: str
    ending: str = ""
    remedy: str = ""

    def instead_of(self, name: str, wanted: str) -> Unreadable:
        """The error of a reader that wants `wanted` ("an image") and was given this, called `name`."""
        lost = self.kind in ("text", "data")
        remedy = (
            "Fetch the file itself again, or leave it out."
            if lost
            else f"Save what it holds as {wanted}, or leave it out."
        )
        remedy = self.remedy or remedy
        return Unreadable(f"'{name}' is {self.name}; {wanted} is accepted.", remedy)


def file_format(head: bytes) -> FileFormat | None:
    """What a file is that begins with `head` (`HEAD` bytes, or all of them); None if that is not known."""
    return _by_magic(head) or _stand_in(head) or _markup(head) or _words(head)


def kind_of_ending(ending: str) -> str:
    """The kind of the files that have this ending, in lower case; empty if that is not known."""
    return KINDS.get(ending, "")


def recognise(raw: Raw) -> FileFormat | None:
    """What the bytes of an example say it is, with a remedy that works on this machine; None if they say nothing, or
    there are none.
    """
    head = head_of(raw)
    found = file_format(head)
    if found is None:
        return None
    if found.kind == "text" and raw.path is not None and (target := link_target(raw.path, head)):
        return FileFormat(
            f"a link that was saved as a text file (it names '{target}')",
            "stand-in",
            remedy="Put that file in its place; Git makes links where core.symlinks is true when it checks out.",
        )
    if _LFS.match(head):
        return replace(found, remedy=_pull(raw.path))
    return replace(found, remedy=_unpack(found, raw)) if found.kind == "archive" else found


def refusal(raw: Raw, wanted: str, kinds: Collection[str]) -> Unreadable | None:
    """The error for an example whose bytes are of none of `kinds`, from a reader that wants `wanted` ("an image"); None
    if they may be.
    """
    found = recognise(raw)
    return None if found is None or found.kind in kinds else found.instead_of(raw.name, wanted)


def head_of(raw: Raw) -> bytes:
    """The first bytes of an example; none if it is not made of bytes or cannot be opened."""
    if isinstance(raw.value, bytes):
        return raw.value[:HEAD]
    if raw.path is None or raw.value is not None:
        return b""
    try:
        check_plain(raw.path, raw.name)
        with raw.path.open("rb") as file:
            return file.read(HEAD)
    except (OSError, ValueError, Unreadable):
        return b""


def link_target(path: Path, content: bytes) -> str:
    """The file that a link names which was checked out as a text file; empty if `content` is no such link.

    Git stores a link as the path that it leads to, without a line break, and writes that into a file where the system
    has no links (gitattributes, core.symlinks).
    """
    if not 0 < len(content) <= 1024 or b"\n" in content or b"\0" in content:
        return ""
    there = path.parent / os.fsdecode(content)
    if there.suffix.lower() != path.suffix.lower():
        return ""
    try:
        return os.fsdecode(content) if there.is_file() and not there.samefile(path) else ""
    except OSError:  # too long for a path
        return ""


def _by_magic(head: bytes) -> FileFormat | None:
    words = not _CONTROL.search(head)
    for offset, magic, name, kind, ending in MAGIC:
        # A text may begin with letters that are the mark of another format.
        if head.startswith(magic, offset) and not (words and kind != "document" and magic.isascii()):
            return FileFormat(name, kind, ending)
    for magic, offset, mark, name, kind, ending in SUBTYPES:
        if not words and head.startswith(magic) and head.startswith(mark, offset):
            return FileFormat(name, kind, ending)
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    if head.startswith(b"\x1aE\xdf\xa3"):
        webm = b"webm" in head[:64]
        return FileFormat(*(("a WebM video", "video", ".webm") if webm else ("a Matroska video", "video", ".mkv")))
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(head)
    return _mpeg(head)


def _iso_media(head: bytes) -> FileFormat:
    """By its brands (ISO/IEC 14496-12, section 4.3; registered at mp4ra.org)."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))]
    # The brand of any image (mif1, msf1) leaves open how it is coded; the compatible ones say it.
    chosen = brands if brands[0] in (b"mif1", b"msf1") else brands[:1]
    for brand in (*(b for b in chosen if b not in (b"mif1", b"msf1")), *brands[:1]):
        for start, about in BRANDS.items():
            if brand.startswith(start):
                return FileFormat(*about)
    return FileFormat("an MP4 video", "video", ".mp4")


def _zip(head: bytes) -> FileFormat:
    """By its first entry (APPNOTE.TXT, section 4.3.7): bit 0 of the flags says that it is encrypted."""
    for mark, about in OFFICE.items():
        if mark in head:
            return FileFormat(*about)
    encrypted = len(head) > 6 and head[6] & 1
    return FileFormat("an encrypted ZIP archive" if encrypted else "a ZIP archive", "archive", ".zip")


def _mpeg(head: bytes) -> FileFormat | None:
    """By the sync word of the first frame (ISO/IEC 11172-3, section 2.4.1.3; ADTS: ISO/IEC 13818-7, section 6.2)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or head.startswith(_BOMS):
        return None
    layer, rate = head[1] >> 1 & 3, head[2] >> 2
    if head[1] & 0xF6 == 0xF0:
        return FileFormat("an AAC sound", "sound", ".aac") if rate & 0xF < 13 else None
    known = head[1] >> 3 & 3 != 1 and layer and head[2] >> 4 not in (0, 15) and rate & 3 != 3
    return FileFormat("an MP3 sound", "sound", ".mp3") if known else None


def _stand_in(head: bytes) -> FileFormat | None:
    if head and not head.strip(b"\0"):
        return FileFormat(
            "nothing but zero bytes, as a copy or download that broke off leaves them",
            "stand-in",
            remedy="Copy or fetch it again.",
        )
    if _LFS.match(head):
        return FileFormat("a Git LFS pointer, not the file itself", "stand-in", remedy="Fetch the file: git lfs pull")
    return None


def _markup(head: bytes) -> FileFormat | None:
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    again = "Fetch it again: a server answers with such a page where it does not give the file."
    if _HTML.match(begins):
        title = _TITLE.search(begins)
        called = f" ('{_shown(title[1])}')" if title else ""
        return FileFormat(f"an HTML page{called}", "text", ".html", again)
    if begins.startswith(b"<svg") or (begins.startswith(b"<?xml") and b"<svg" in begins):
        return FileFormat("an SVG drawing", "text", ".svg")
    if begins.startswith(b"<?xml"):
        return FileFormat("an XML text", "text", ".xml", again)
    if _JSON.match(begins) and not _CONTROL.search(begins):
        return FileFormat(f"a JSON text ({_shown(begins)})", "text", ".json", again)
    return None


def _words(head: bytes) -> FileFormat | None:
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return FileFormat("a text in UTF-32", "data", "", "Save it as UTF-8.")
    if head.startswith(_BOMS):
        return FileFormat("a text in UTF-16", "text", ".txt")
    if not _CONTROL.search(head) and head.strip():
        return FileFormat(f"a text ('{_shown(head)}')", "text", ".txt")
    halves = head[::2], head[1::2]
    for zeros, letters in (halves, halves[::-1]):
        if len(zeros) > 1 and zeros.count(0) > len(zeros) / 2 and not _CONTROL.search(letters):
            return FileFormat("a text in UTF-16 without its byte order mark", "data", "", "Save it as UTF-8.")
    return None


def _shown(begins: bytes, most: int = 40) -> str:
    words = " ".join(begins.decode(errors="replace").split())
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in words)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def _pull(path: Path | None) -> str:
    inside = path is not None and any((folder / ".git").exists() for folder in path.resolve().parents)
    if not inside:
        return "Fetch the file from where it came, with Git LFS: https://git-lfs.com"
    return (
        "Fetch the file: git lfs pull" if shutil.which("git-lfs") else "Install https://git-lfs.com, then: git lfs pull"
    )


def _unpack(found: FileFormat, raw: Raw) -> str:
    """With a command that this machine has."""
    first = "Unpack it first, with its password" if "encrypted" in found.name else "Unpack it first"
    for tool, command in () if "encrypted" in found.name else UNPACK.get(found.ending, ()):
        if raw.path is not None and (tool == "python" or shutil.which(tool)):
            return f"{first}: {command.format(file=raw.path)}"
    return f"{first}."
