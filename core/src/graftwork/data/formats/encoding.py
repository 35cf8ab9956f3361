"""Text that is neither UTF-8 nor Windows-1252: recognised by its bytes, and named."""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from pathlib import Path

from graftwork.errors import DataError

LOOKED_AT = 2**20
"""Bytes of the lines that are not UTF-8 that are looked at."""
WIDE = (
    ("SHIFT_JIS", ("HIRAGANA", "KATAKANA"), 0.2),
    ("EUC-JP", ("HIRAGANA", "KATAKANA"), 0.2),
    ("EUC-KR", ("HANGUL",), 0.8),
    ("GB18030", ("CJK",), 0.8),
    ("BIG5", ("CJK",), 0.8),
)
"""Encodings of two bytes a letter, and the least part of the letters beyond ASCII that is of these scripts in a text
that is in them. Few other texts can be decoded so."""
NARROW = (
    ("CP1251", ("CYRILLIC SMALL",), 0.6),
    ("KOI8-R", ("CYRILLIC SMALL",), 0.6),
    ("CP1253", ("GREEK SMALL",), 0.6),
    ("CP1255", ("HEBREW",), 0.8),
    ("CP1256", ("ARABIC",), 0.8),
)
"""The same for encodings of one byte a letter, several of which may fit."""


def check_western(path: Path, plain: Path) -> None:
    """Check text that is not UTF-8: it may be read as Windows-1252 if its accented letters stand among others.

    In other scripts every letter takes bytes beyond ASCII, so that these stand side by side. Lines that are UTF-8 for
    their most part are left to their cells.

    Raises `DataError` that names the likely encoding.
    """
    lines, size, number = [], 0, 0
    with plain.open("rb") as file:
        for row, line in enumerate(file, 1):
            if not line.isascii() and _is_foreign(line):
                lines.append(line)
                size += len(line)
                number = number or row
                if size > LOOKED_AT:
                    break
    text = b"".join(lines)
    high = [sign >= 128 for sign in text]
    beside = sum(one and other for one, other in pairwise(high))
    if sum(high) < 4 or beside < sum(high) / 2:
        return
    names = [name for name, scripts, least in WIDE if _share(text, name, scripts) >= least][:1] or [
        name for name, scripts, least in NARROW if _share(text, name, scripts) >= least
    ]
    read = " ".join(lines[0].decode("cp1252", errors="replace").split())[:40]
    raise DataError(
        f"'{path}', line {number}: it is not UTF-8, and no Windows-1252 either, as which it says '{read}'"
        f"{'; it may be ' if names else ''}{' or '.join(names)}.",
        f"Convert it from its own encoding: iconv -f {names[0] if names else 'ENCODING'} -t UTF-8 {path.name} > "
        f"utf8-{path.name}",
    )


def _is_foreign(line: bytes) -> bool:
    """Whether most of a line beyond ASCII is not UTF-8; a cell that was cut within a letter is UTF-8 else."""
    letters = [sign for sign in line.decode(errors="surrogateescape") if ord(sign) >= 128]
    return 2 * sum("\udc80" <= sign <= "\udcff" for sign in letters) > len(letters)


def _share(text: bytes, encoding: str, scripts: tuple[str, ...]) -> float:
    """The part of the letters beyond ASCII that is of the scripts; 0 if the text cannot be in that encoding."""
    try:
        letters = [sign for sign in text.decode(encoding) if ord(sign) >= 128 and sign.isalpha()]
    except UnicodeDecodeError:
        return 0.0
    return sum(unicodedata.name(sign, "").startswith(scripts) for sign in letters) / max(1, len(letters))
