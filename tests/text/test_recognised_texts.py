"""Text files that are really something else, and texts that only look like it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from graftwork import Raw, Unreadable
from graftwork_text.reader import TextReader

READER = TextReader()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"


def of(folder: Path, content: bytes) -> Raw:
    (folder / "a.txt").write_bytes(content)
    return Raw("a.txt", folder / "a.txt")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"%PDF-1.4\nwritten in letters alone", "is a PDF document; text is accepted. Save what it holds as text, or leave it out."),
        (b"{\\rtf1\\ansi hello}", "is an RTF document; text is accepted. Save what it holds as text, or leave it out."),
        (b"PK\3\4\x14\0\6\0word/document.xml", "is a Word document; text is accepted. Save what it holds as text, or leave it out."),
        (b"\x89PNG\r\n\x1a\n\0\0", "is a PNG image; text is accepted. Save what it holds as text, or leave it out."),
        (gzip.compress(b"words", mtime=0), "is a gzip archive; text is accepted. Unpack it first"),
        ("words".encode("utf-16-le"), "is a text in UTF-16 without its byte order mark; text is accepted. Save it as UTF-8."),
        ("words".encode("utf-32"), "is a text in UTF-32; text is accepted. Save it as UTF-8."),
        (POINTER, "is a Git LFS pointer, not the file itself; text is accepted. Fetch the file from where it came, with Git LFS"),
        (b"\0" * 50, "is nothing but zero bytes, as a copy or download that broke off leaves them; text is accepted. Copy or"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "content",
)  # fmt: skip
def test_what_is_no_text_is_said_by_its_bytes(tmp_path: Path, content: bytes, said: str) -> None:
    for method in (READER.facts, READER.decode):
        with pytest.raises(Unreadable) as refused:
            method(of(tmp_path, content))
        assert str(refused.value).startswith(f"'a.txt' {said}")


@pytest.mark.parametrize(
    "text",
    [
        "<html>is where a page begins</html>", '{"is": "JSON"}', "<?xml version='1.0'?>", "version https://example.com is out",
        "PDF documents", "#!/bin/sh", "MAC addresses", "a.txt\n", "gone.txt",
    ],
)  # fmt: skip
def test_a_text_about_anything_is_a_text(tmp_path: Path, text: str) -> None:
    assert READER.decode(of(tmp_path, text.encode())) == text.strip()


def test_a_table_may_hold_what_a_file_may_not() -> None:
    for text in (POINTER.decode(), "%PDF-1.4 is how it begins", "{\\rtf1}"):
        assert READER.decode(Raw("row 1", value=text)) == text.strip()


def test_utf_16_with_its_mark_is_read(tmp_path: Path) -> None:
    assert READER.facts(of(tmp_path, "words".encode("utf-16")))["encoding"] == "utf-16"


def test_a_link_that_git_checked_out_as_a_file_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("words")
    with pytest.raises(Unreadable, match=r"'a.txt' is a link that was saved as a text file \(it names 'real.txt'\)"):
        READER.facts(of(tmp_path, b"real.txt"))
    assert READER.decode(of(tmp_path, b"a.txt")) == "a.txt"  # its own name is no link
    assert READER.decode(Raw("row 1", value="real.txt")) == "real.txt"
